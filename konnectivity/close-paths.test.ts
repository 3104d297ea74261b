import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { echo, startEndpoint } from '#konnectivity/testing/endpoints.ts'
import { GrpcClient } from '#konnectivity/testing/grpc-client.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'

const MIB = 1024 * 1024

describe('how a packet connection ends', function () {
  this.timeout(30_000)
  let fixture: TunnelFixture
  let running: RunningServer
  before(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
    running = await fixture.startServer({ mode: 'grpc' })
    await fixture.startAgent('worker-0', [running.addresses.agentPort])
  })
  after(() => fixture[Symbol.asyncDispose]())
  const idle = (): Promise<void> => until(() => running.server.status().openConnections === 0, 'nothing is open')

  it('answers the first of two CLOSE_REQ as a close and does not mind the second', async () => {
    await using endpoint = await startEndpoint(echo)
    using client = new GrpcClient(running.udsName)
    const connectId = await client.dial(endpoint.address)
    client.stream.send({ type: 'closeRequest', connectId })
    client.stream.send({ type: 'closeRequest', connectId })
    assert.equal((await client.next('closeResponse')).error, '')
    await until(() => client.closed, 'the stream ends')
    await until(() => endpoint.sockets.size === 0, 'the endpoint is closed')
    await idle()
  })

  it('delivers nothing that comes after a CLOSE_REQ', async () => {
    const chunks: Buffer[] = []
    await using endpoint = await startEndpoint((socket) => socket.on('data', (chunk: Buffer) => chunks.push(chunk)))
    using client = new GrpcClient(running.udsName)
    const connectId = await client.dial(endpoint.address)
    client.stream.send({ type: 'data', connectId, data: Buffer.from('before') })
    client.stream.send({ type: 'closeRequest', connectId })
    client.stream.send({ type: 'data', connectId, data: Buffer.from('after') })
    await client.next('closeResponse')
    await idle()
    await until(() => Buffer.concat(chunks).length > 0, 'something came')
    assert.equal(Buffer.concat(chunks).toString(), 'before')
  })

  it('takes empty DATA for nothing, and one of almost 4 MiB, the largest message of a Go peer, whole', async () => {
    await using endpoint = await startEndpoint(echo)
    using client = new GrpcClient(running.udsName)
    const connectId = await client.dial(endpoint.address)
    const sent = randomBytes(4 * MIB - 64)
    client.stream.send({ type: 'data', connectId, data: Buffer.alloc(0) })
    client.stream.send({ type: 'data', connectId, data: sent })
    const received = (): readonly Buffer[] =>
      client.packets.flatMap((packet) => (packet.type === 'data' ? [packet.data] : []))
    await until(() => received().reduce((sum, { length }) => sum + length, 0) === sent.length, 'all of it is back')
    assert.ok(Buffer.concat(received()).equals(sent))
    assert.ok(
      received().every(({ length }) => length > 0),
      'Go takes empty DATA for the end',
    )
    client.stream.send({ type: 'closeRequest', connectId })
    await client.next('closeResponse')
    await idle()
  })
})
