import { connect } from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import type { Packet } from '#konnectivity/proto/packet.ts'
import { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'
import { paths } from '#konnectivity/tunnel/protocol.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

/** A client of ProxyService/Proxy on a unix socket, as kube-apiserver in GRPC mode is one. */
export class GrpcClient implements Disposable {
  readonly session: ClientHttp2Session
  readonly packets: Packet[] = []
  readonly stream: PacketStream
  closed = false

  constructor(socketPath: string, session?: ClientHttp2Session) {
    // The authority is the percent-encoded path, as Go's client writes it.
    const authority = `http://${encodeURIComponent(socketPath)}`
    this.session =
      session ??
      connect('http://localhost', { createConnection: () => connectSocket(socketPath) }).on('error', () => undefined)
    const request = this.session.request(
      { ':method': 'POST', ':path': paths.proxy, ':authority': authority.slice(7), 'content-type': 'application/grpc' },
      { endStream: false },
    )
    this.stream = new PacketStream(request, {
      onPacket: (packet) => this.packets.push(packet),
      onClose: () => (this.closed = true),
    })
  }

  /** Takes the next packet of a type out of those received. */
  async next<T extends Packet['type']>(type: T): Promise<Extract<Packet, { type: T }>> {
    await until(() => this.packets.some((packet) => packet.type === type), `${type} arrives`)
    const at = this.packets.findIndex((packet) => packet.type === type)
    return this.packets.splice(at, 1)[0] as Extract<Packet, { type: T }>
  }

  /** Dials and returns the connection's id. @throws with the server's error */
  async dial(address: string, random = 42n): Promise<number> {
    this.stream.send({ type: 'dialRequest', protocol: 'tcp', address, random })
    const response = await this.next('dialResponse')
    if (response.random !== random) throw new Error(`answer to another dial: ${response.random}`)
    if (response.error !== '') throw new Error(response.error)
    return response.connectId
  }

  [Symbol.dispose](): void {
    this.session.destroy()
  }
}
