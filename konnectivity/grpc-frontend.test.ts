import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { echo, startEndpoint } from '#konnectivity/testing/endpoints.ts'
import { GrpcClient } from '#konnectivity/testing/grpc-client.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

describe('tunnel, gRPC over a unix socket', function () {
  this.timeout(30_000)
  let fixture: TunnelFixture
  let running: RunningServer
  before(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
    running = await fixture.startServer({ mode: 'grpc' })
    await fixture.startAgent('worker-0', [running.addresses.agentPort])
  })
  after(() => fixture[Symbol.asyncDispose]())
  const received = (client: GrpcClient): Buffer =>
    Buffer.concat(client.packets.flatMap((packet) => (packet.type === 'data' ? [packet.data] : [])))

  it('carries a connection and answers its close', async () => {
    await using endpoint = await startEndpoint(echo)
    using client = new GrpcClient(running.udsName)
    const connectId = await client.dial(endpoint.address)
    const sent = randomBytes(3 * 1024 * 1024)
    client.stream.sendData(connectId, sent, () => undefined)
    client.stream.send({ type: 'data', connectId, data: Buffer.alloc(0) })
    await until(() => received(client).length === sent.length, 'all comes back')
    assert.ok(received(client).equals(sent))
    client.stream.send({ type: 'closeRequest', connectId })
    assert.deepEqual(await client.next('closeResponse'), { type: 'closeResponse', connectId, error: '' })
    await until(() => endpoint.sockets.size === 0, 'the endpoint is closed')
    await until(() => running.server.status().openConnections === 0, 'the connection is forgotten')
  })

  it('delivers what a client sent before it closed and left', async () => {
    let count = 0
    await using endpoint = await startEndpoint((socket) =>
      socket.on('data', (chunk: Buffer) => (count += chunk.length)),
    )
    using client = new GrpcClient(running.udsName)
    const connectId = await client.dial(endpoint.address)
    client.stream.sendData(connectId, Buffer.alloc(2 * 1024 * 1024), () => undefined)
    client.stream.send({ type: 'closeRequest', connectId })
    await client.next('closeResponse')
    client.session.destroy()
    await until(() => count === 2 * 1024 * 1024, 'all bytes are there')
  })

  it('sends the close of an endpoint after its data', async () => {
    await using endpoint = await startEndpoint((socket) => socket.end(Buffer.alloc(1024 * 1024)))
    using client = new GrpcClient(running.udsName)
    await client.dial(endpoint.address)
    await client.next('closeResponse')
    assert.equal(received(client).length, 1024 * 1024)
    assert.ok(client.packets.every((packet) => packet.type !== 'data' || packet.data.length > 0))
    await until(() => client.closed, 'the stream ends')
  })

  it('carries many streams on one session', async () => {
    await using endpoint = await startEndpoint(echo)
    using first = new GrpcClient(running.udsName)
    const clients = [first, ...Array.from({ length: 20 }, () => new GrpcClient(running.udsName, first.session))]
    await Promise.all(
      clients.map(async (client, i) => {
        const connectId = await client.dial(endpoint.address, BigInt(i))
        client.stream.sendData(connectId, Buffer.from(`hello ${i}`), () => undefined)
        await until(() => received(client).toString() === `hello ${i}`, 'echo')
      }),
    )
  })

  it('says why a dial failed', async () => {
    using client = new GrpcClient(running.udsName)
    await assert.rejects(client.dial('127.0.0.1:1'), /connection refused/)
    await until(() => client.closed, 'the stream ends')
    using other = new GrpcClient(running.udsName)
    await assert.rejects(other.dial('no port'), /not host:port/)
  })

  it('answers packets out of order, and drops a stream that mixes connections', async () => {
    await using endpoint = await startEndpoint(echo)
    using client = new GrpcClient(running.udsName)
    client.stream.send({ type: 'data', connectId: 1, data: Buffer.from('x') })
    assert.equal((await client.next('closeResponse')).error, 'backend not initialized')
    client.stream.send({ type: 'closeRequest', connectId: 1 })
    assert.equal((await client.next('closeResponse')).error, 'backend uninitialized')
    const connectId = await client.dial(endpoint.address)
    client.stream.send({ type: 'data', connectId: connectId + 1, data: Buffer.from('x') })
    assert.equal((await client.next('closeResponse')).error, 'mismatched connection IDs')
    await until(() => client.closed, 'the stream ends')
    await until(() => running.server.status().openConnections === 0, 'the connection is forgotten')
  })

  it('frees everything when clients vanish', async () => {
    await using endpoint = await startEndpoint(echo)
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        using client = new GrpcClient(running.udsName)
        if (i % 2 === 0) await client.dial(endpoint.address)
        else client.stream.send({ type: 'dialRequest', protocol: 'tcp', address: endpoint.address, random: 1n })
      }),
    )
    await until(() => running.server.status().openConnections === 0, 'no connection is left')
    await until(() => endpoint.sockets.size === 0, 'no endpoint is left')
    assert.equal(running.server.status().agents[0]?.pendingDials, 0)
  })
})
