import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { afterPatience } from '#pkg/nllb/patience.ts'

describe('afterPatience', () => {
  it('reads what came while this process did not run before it gives up', async () => {
    const server = createServer((socket) => socket.end('here')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const seen: string[] = []
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const { promise, resolve } = Promise.withResolvers<undefined>()
    socket.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
    afterPatience(50, () => {
      seen.push('given up')
      resolve(undefined)
    })
    await once(socket, 'connect')
    const until = performance.now() + 500
    while (performance.now() < until);
    await promise
    assert.deepEqual(seen, ['here', 'given up'])
    server.close()
  })

  it('is called off', async () => {
    let calls = 0
    const end = afterPatience(1, () => (calls += 1))
    end()
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(calls, 0)
  })
})
