import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, readHash, startEndpoint, writeRandom } from '#konnectivity/testing/endpoints.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'

const MIB = 1024 * 1024

describe('tunnel, HTTP CONNECT over a unix socket', function () {
  this.timeout(30_000)

  it('carries bytes exactly in both directions', async () => {
    await using fixture = await TunnelFixture.create()
    await using endpoint = await startEndpoint(echo)
    const { addresses, udsName } = await fixture.startServer()
    await fixture.startAgent('worker-0', [addresses.agentPort])
    const { status, socket } = await connectThrough(udsName, endpoint.address)
    assert.equal(status, 200)
    const reading = readHash(socket, 64 * MIB)
    assert.equal(await writeRandom(socket, 64 * MIB), await reading)
    socket.end()
    await once(socket, 'close')
  })
})
