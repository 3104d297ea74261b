import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import type { Http2Duplex } from '#pkg/http2/duplex.ts'
import { Http2Session } from '#pkg/http2/session.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { AgentConnections } from '#konnectivity/agent/connections.ts'
import { createAgentMetrics } from '#konnectivity/agent/metrics.ts'
import type { Packet } from '#konnectivity/proto/packet.ts'
import { echo, startEndpoint } from '#konnectivity/testing/endpoints.ts'
import { Buffers } from '#konnectivity/tunnel/buffers.ts'
import { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'
import { connectionOptions, paths } from '#konnectivity/tunnel/protocol.ts'

const none = (): number => 0

describe('AgentConnections', () => {
  it('refuses a dial when the server takes no further stream, and closes what it opened for it', async () => {
    await using stack = new AsyncDisposableStack()
    const buffers = new Buffers({ limitBytes: 1024 * 1024 })
    const received: Packet[] = []
    const server = net.createServer((socket) => {
      // The control stream is all that there may be.
      const session = new Http2Session(socket, { ...connectionOptions('server', buffers.windows), maxStreams: 1 })
      session.on('stream', (stream: Http2Duplex) => {
        stream.respond({ ':status': '200' })
        new PacketStream(stream, { onPacket: (packet) => received.push(packet), onClose: () => undefined })
      })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    stack.defer(() => void server.close())
    const endpoint = stack.use(await startEndpoint(echo))

    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
    const session = new Http2Session(socket, connectionOptions('client', buffers.windows))
    stack.defer(() => session.destroy())
    const stream = session.request({ ':method': 'POST', ':scheme': 'https', ':path': paths.connect })
    const control = new PacketStream(stream, { onPacket: () => undefined, onClose: () => undefined })
    await once(stream, 'response')
    const metrics = createAgentMetrics({
      openServers: none,
      knownServers: none,
      openEndpoints: none,
      bufferBytes: none,
    })
    const connections = new AgentConnections(
      { flow: 'streams', endpointDialTimeoutMs: 5_000, dialsPerConnection: 1_000 },
      { session, control, buffers, metrics, log: silentLogger, onBytes: none, onUsedUp: none },
    )
    connections.onPacket({ type: 'dialRequest', protocol: 'tcp', address: endpoint.address, random: 7n })
    await until(() => received.length > 0, 'an answer')
    const error = 'the session takes no further streams'
    assert.deepEqual(received, [{ type: 'dialResponse', error, connectId: 0, random: 7n }])
    await until(() => endpoint.sockets.size === 0, 'the endpoint is closed')
    assert.equal(connections.size, 0)
  })
})
