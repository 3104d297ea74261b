import type { Socket } from 'node:net'
import type { Headers, Http2Duplex } from '#pkg/http2/duplex.ts'
import { Http2Session } from '#pkg/http2/session.ts'
import { packetTypeLabel, typeLabel } from '#konnectivity/proto/packet.ts'
import type { Packet } from '#konnectivity/proto/packet.ts'
import type { FrontendDeps } from '#konnectivity/server/connect-frontend.ts'
import type { DialOutcome } from '#konnectivity/server/dialer.ts'
import { GrpcConnection } from '#konnectivity/server/grpc-connection.ts'
import { refuseStream } from '#konnectivity/server/grpc-status.ts'
import type { Buffers } from '#konnectivity/tunnel/buffers.ts'
import { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'
import { connectionOptions, paths } from '#konnectivity/tunnel/protocol.ts'

/** Collaborators of the gRPC frontend. */
export interface GrpcFrontendDeps extends FrontendDeps {
  readonly buffers: Buffers
}

/** ProxyService/Proxy: each stream carries one connection, a session one stream (kube-apiserver) or many. */
export class GrpcFrontend {
  readonly #deps: GrpcFrontendDeps
  readonly #sessions = new Set<Http2Session>()
  readonly #streams = new Set<FrontendStream>()
  #lastConnectId = 0

  constructor(deps: GrpcFrontendDeps) {
    this.#deps = deps
  }

  /** Proxy streams open now. */
  get open(): number {
    return this.#streams.size
  }

  /** Serves one accepted socket (unix, TCP or TLS). */
  readonly serve = (socket: Socket): void => {
    const session = new Http2Session(socket, connectionOptions('server', this.#deps.buffers.windows))
    this.#sessions.add(session)
    session.on('error', (error: Error) => this.#deps.log.debug('frontend session failed', { err: error }))
    session.once('close', () => this.#sessions.delete(session))
    session.on('stream', (stream: Http2Duplex, headers: Headers) => this.#onStream(session, stream, headers))
  }

  /** Drops every client. */
  destroy(): void {
    for (const session of this.#sessions) session.destroy()
  }

  #onStream(session: Http2Session, stream: Http2Duplex, headers: Headers): void {
    stream.on('error', (error: Error) => this.#deps.log.debug('frontend stream failed', { err: error }))
    if (headers[':path'] !== paths.proxy) {
      refuseStream(stream, 'unimplemented', `unknown method ${headers[':path'] ?? ''}`)
      return
    }
    const headersOfAnswer = { ':status': '200', 'content-type': 'application/grpc' }
    stream.respond(headersOfAnswer, { trailers: { 'grpc-status': '0' } })
    const frontend = new FrontendStream({ session, stream }, this.#deps, () => (this.#lastConnectId += 1))
    this.#streams.add(frontend)
    stream.once('close', () => this.#streams.delete(frontend))
  }
}

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'dialing'; readonly random: bigint; readonly abort: AbortController }
  | { readonly kind: 'open'; readonly connection: GrpcConnection }
  | { readonly kind: 'closed' }

/** State machine of one Proxy stream: idle, dialing, open, closed. */
class FrontendStream {
  readonly #deps: FrontendDeps
  readonly #packets: PacketStream
  readonly #nextConnectId: () => number
  #state: State = { kind: 'idle' }

  constructor(
    { session, stream }: { readonly session: Http2Session; readonly stream: Http2Duplex },
    deps: FrontendDeps,
    nextConnectId: () => number,
  ) {
    this.#deps = deps
    this.#nextConnectId = nextConnectId
    const { streamPackets, streamErrors } = deps.metrics
    this.#packets = new PacketStream(stream, {
      onPacket: (packet) => {
        streamPackets.add({ segment: 'from_client', packet_type: packetTypeLabel(packet) })
        this.#onPacket(packet)
      },
      onSent: (type) => streamPackets.add({ segment: 'to_client', packet_type: typeLabel(type) }),
      onOffence: (error) => session.destroy(error),
      onClose: (error) => {
        const labels = { segment: 'from_client', code: 'Unavailable', packet_type: 'Unknown' }
        if (error !== undefined) streamErrors.add(labels)
        this.#onClose(error)
      },
    })
  }

  #onPacket(packet: Packet): void {
    switch (packet.type) {
      case 'dialRequest':
        if (this.#state.kind === 'idle') void this.#dial(packet)
        else this.#packets.destroy(new Error('second DIAL_REQ on a stream'))
        return
      case 'data':
        this.#onData(packet.connectId, packet.data)
        return
      case 'closeRequest':
        this.#onCloseRequest(packet.connectId)
        return
      case 'closeDial':
        if (this.#state.kind === 'dialing') this.#abortDial(this.#state.abort)
        return
      case 'dialResponse':
      case 'closeResponse':
      case 'drain':
      case 'unknown':
        // Not sent by frontends; upstream ignores them too.
        return
    }
  }

  async #dial({ address, protocol, random }: Extract<Packet, { type: 'dialRequest' }>): Promise<void> {
    const abort = new AbortController()
    this.#state = { kind: 'dialing', random, abort }
    if (protocol !== 'tcp' && protocol !== '') {
      this.#fail(random, `protocol ${JSON.stringify(protocol)} is not supported, only tcp`)
      return
    }
    const outcome = await this.#deps.dialer.dial(address, abort)
    this.#answer(random, outcome)
  }

  #answer(random: bigint, outcome: DialOutcome): void {
    if (outcome.kind === 'failed') {
      this.#fail(random, outcome.message)
      return
    }
    if (this.#state.kind !== 'dialing' || !this.#packets.writable) {
      this.#deps.metrics.dialFailures.add({ reason: 'send_rsp' })
      outcome.connection.destroy(new Error('the client went away'))
      return
    }
    const connectId = outcome.connectId ?? this.#nextConnectId()
    const connection = new GrpcConnection({ connectId }, this.#packets, this.#deps.metrics.frontendWrites)
    this.#state = { kind: 'open', connection }
    this.#packets.send({ type: 'dialResponse', random, connectId, error: '' })
    this.#deps.connections.add(connection, outcome.connection, { holdBackMs: 0, traffic: outcome.traffic })
  }

  #fail(random: bigint, error: string): void {
    this.#state = { kind: 'closed' }
    this.#packets.send({ type: 'dialResponse', random, connectId: 0, error })
    this.#packets.end()
  }

  #onData(connectId: number, data: Buffer): void {
    if (this.#state.kind !== 'open') {
      this.#packets.send({ type: 'closeResponse', connectId, error: 'backend not initialized' })
    } else if (connectId === this.#state.connection.connectId) {
      this.#state.connection.receive(data)
    } else {
      this.#packets.send({ type: 'closeResponse', connectId, error: 'mismatched connection IDs' })
      this.#state.connection.destroy(new Error('mismatched connection IDs'))
    }
  }

  #onCloseRequest(connectId: number): void {
    if (this.#state.kind === 'open' && connectId === this.#state.connection.connectId) {
      this.#state.connection.receiveClose()
    } else {
      const error = this.#state.kind === 'open' ? 'Unknown connectID' : 'backend uninitialized'
      this.#packets.send({ type: 'closeResponse', connectId, error })
    }
  }

  #abortDial(abort: AbortController): void {
    this.#state = { kind: 'closed' }
    abort.abort(new Error('the client closed its dial'))
  }

  #onClose(error: Error | undefined): void {
    const state = this.#state
    this.#state = { kind: 'closed' }
    if (state.kind === 'dialing') state.abort.abort(new Error('the client went away'))
    // After CLOSE_REQ the client may leave: what it had sent is still delivered.
    if (state.kind === 'open' && !state.connection.closeReceived) {
      state.connection.destroy(error ?? new Error('the client went away'))
    }
  }
}
