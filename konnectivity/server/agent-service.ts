import type { AddressInfo, ListenOptions, Socket } from 'node:net'
import { createServer } from 'node:tls'
import type { SecureContextOptions, Server, TLSSocket } from 'node:tls'
import { errorMessage } from '#pkg/errors/error.ts'
import { encodeHeaders } from '#pkg/http2/duplex.ts'
import type { Headers, Http2Duplex } from '#pkg/http2/duplex.ts'
import { Http2Session } from '#pkg/http2/session.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { packetTypeLabel, typeLabel } from '#konnectivity/proto/packet.ts'
import { Backend } from '#konnectivity/server/backend.ts'
import type { BackendManager } from '#konnectivity/server/backend-manager.ts'
import { refuseStream } from '#konnectivity/server/grpc-status.ts'
import { AgentRefusedError, normalizeHost, parseIdentifiers } from '#konnectivity/server/identity.ts'
import type { AgentAuthenticator } from '#konnectivity/server/identity.ts'
import type { LostAgents } from '#konnectivity/server/lost-agents.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'
import { UnprovenConnections } from '#konnectivity/server/unproven.ts'
import type { Buffers } from '#konnectivity/tunnel/buffers.ts'
import { Keepalive, keepalive } from '#konnectivity/tunnel/keepalive.ts'
import { listen } from '#konnectivity/tunnel/listen.ts'
import type { PortSharing } from '#konnectivity/tunnel/listen.ts'
import { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'
import * as protocol from '#konnectivity/tunnel/protocol.ts'

/** Plain data of the agent listener. */
export interface AgentServiceOptions {
  /** Certificate, key, and the CA of the agents' certificates. */
  readonly tls: SecureContextOptions
  /** Time between pings of upstream agents, milliseconds. */
  readonly keepaliveMs: number
  readonly serverId: string
  readonly serverCount: number
}

/** Collaborators of the agent service. */
export interface AgentServiceDeps {
  readonly authenticator: AgentAuthenticator
  readonly manager: BackendManager
  readonly lost: LostAgents
  readonly metrics: ServerMetrics
  readonly buffers: Buffers
  readonly log: Logger
}

/** A session that has not proven itself by then is closed. */
const AUTHENTICATION_TIMEOUT_MS = 10_000

type AgentSession = Http2Session<TLSSocket>

/** AgentService/Connect and, for our own agents, the streams that carry their connections. */
export class AgentService {
  readonly server: Server
  #paused = false
  #where: { readonly where: ListenOptions; readonly sharing: PortSharing } | undefined
  readonly #options: AgentServiceOptions
  readonly #deps: AgentServiceDeps
  /** Those without a handshake too. */
  readonly #sockets = new Set<Socket>()
  readonly #unproven = new UnprovenConnections({ timeoutMs: AUTHENTICATION_TIMEOUT_MS })
  /** The one backend of each session, once it is proven: a connection stream belongs to a dial of its own session only. */
  readonly #backends = new WeakMap<AgentSession, Backend | 'authenticating'>()

  constructor(options: AgentServiceOptions, deps: AgentServiceDeps) {
    this.#options = options
    this.#deps = deps
    this.server = createServer({
      ...options.tls,
      // The authenticator decides, so that the reason of a refusal is logged and another kind of proof is possible.
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: AUTHENTICATION_TIMEOUT_MS,
      noDelay: true,
      ALPNProtocols: ['h2'],
    })
    this.server.on('connection', (socket: Socket) => this.#onConnection(socket))
    this.server.on('secureConnection', (socket) => this.#onSecureConnection(socket))
    this.server.on('tlsClientError', (error: Error, socket: TLSSocket) =>
      deps.log.debug('TLS handshake of an agent failed', { remote: socket.remoteAddress, err: error }),
    )
  }

  /** @throws TunnelListenError */
  async listen(where: ListenOptions, sharing: PortSharing): Promise<number> {
    this.#where = { where, sharing }
    await listen(this.server, { backlog: 1024, ...where }, 'tunnel agents', sharing)
    const { port } = this.server.address() as AddressInfo
    this.#where = { where: { ...where, port }, sharing: sharing === 'none' ? sharing : 'successor' }
    return port
  }

  /** Accepts no more connections; those that are open stay. */
  pauseAccepting(): void {
    this.#paused = true
    if (this.server.listening) this.server.close()
  }

  /** Undoes `pauseAccepting`. @throws TunnelListenError */
  async resumeAccepting(): Promise<void> {
    if (this.#where === undefined || this.server.listening) return
    this.#paused = false
    const pausedAgain = (): boolean => this.#paused // a call: a read would stay narrowed across the await
    await listen(this.server, { backlog: 1024, ...this.#where.where }, 'tunnel agents', this.#where.sharing)
    if (pausedAgain()) this.server.close()
  }

  /** Disconnects every agent. */
  async destroySessions(): Promise<void> {
    const gone = [...this.#sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()).destroy()),
    )
    await Promise.all(gone)
  }

  /** Connections on which no agent was accepted yet. */
  get unproven(): number {
    return this.#unproven.size
  }

  #onConnection(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const closed = this.#unproven.add(socket)
    if (closed > 0) this.#deps.metrics.agentRefusals.add({ reason: 'too_many' }, closed)
  }

  #onSecureConnection(socket: TLSSocket): void {
    const session = new Http2Session(socket, protocol.connectionOptions('server', this.#deps.buffers.windows))
    session.on('error', (error: Error) => this.#deps.log.debug('agent session failed', { err: error }))
    session.on('stream', (stream: Http2Duplex, headers: Headers) => this.#onStream(session, stream, headers))
  }

  #onStream(session: AgentSession, stream: Http2Duplex, headers: Headers): void {
    const ignoreLate = (): void => undefined
    stream.on('error', ignoreLate)
    const isConnect = headers[':path'] === protocol.paths.connect
    // Nothing but one call of Connect comes from an agent that is not accepted yet: what else does may cost us nothing.
    if (isConnect === this.#backends.has(session) || (!isConnect && this.#backends.get(session) === 'authenticating')) {
      refuseStream(stream, 'failedPrecondition', isConnect ? 'Connect was called before' : 'call Connect first')
      session.destroy(new Error('calls out of order'))
      return
    }
    switch (headers[':path']) {
      case protocol.paths.connect:
        void this.#connect(session, stream, headers)
        return
      case protocol.paths.connection:
        this.#connection(session, stream, headers)
        return
      default:
        refuseStream(stream, 'unimplemented', `unknown method ${headers[':path'] ?? ''}`)
    }
  }

  async #connect(session: AgentSession, stream: Http2Duplex, headers: Headers): Promise<void> {
    const remoteAddress = normalizeHost(session.socket.remoteAddress ?? 'unknown')
    this.#backends.set(session, 'authenticating')
    try {
      const { nodeName } = await this.#authenticate(session, headers)
      if (!stream.destroyed) this.#accept(session, stream, headers, { nodeName, remoteAddress })
    } catch (error) {
      this.#deps.metrics.agentRefusals.add({ reason: error instanceof AgentRefusedError ? 'refused' : 'unverified' })
      const detail = error instanceof AgentRefusedError ? error.detail : undefined
      this.#deps.log.warn('agent refused', { remote: remoteAddress, err: error, detail })
      refuseStream(stream, error instanceof AgentRefusedError ? 'unauthenticated' : 'unavailable', errorMessage(error))
      session.close()
    }
  }

  async #authenticate({ socket }: AgentSession, headers: Headers): Promise<{ nodeName: string | undefined }> {
    const certificate = socket.getPeerCertificate()
    if (typeof headers[protocol.metadata.agentId] !== 'string')
      throw new AgentRefusedError('no agentID in its metadata')
    return this.#deps.authenticator.authenticate({
      verified: socket.authorized,
      verifyError: (socket.authorizationError as Error | string | undefined)?.toString(),
      // An empty object stands for "none".
      certificate: Object.keys(certificate).length === 0 ? undefined : certificate,
      authorization: headers['authorization'],
    })
  }

  #accept(
    session: AgentSession,
    stream: Http2Duplex,
    headers: Headers,
    peer: { readonly nodeName: string | undefined; readonly remoteAddress: string },
  ): void {
    const { metadata } = protocol
    const agentId = String(headers[metadata.agentId])
    const flow = headers[metadata.flow] === protocol.STREAMS_FLOW ? 'streams' : 'packets'
    const log = this.#deps.log.child({ node: peer.nodeName, agent: agentId, remote: peer.remoteAddress })
    stream.respond(
      {
        ':status': '200',
        'content-type': 'application/grpc',
        [metadata.serverId]: this.#options.serverId,
        [metadata.serverCount]: String(this.#options.serverCount),
        ...(flow === 'streams' && { [metadata.flow]: protocol.STREAMS_FLOW }),
      },
      { trailers: { 'grpc-status': '0' } },
    )
    const control = new PacketStream(stream, {
      onPacket: (packet) => {
        this.#deps.metrics.streamPackets.add({ segment: 'from_agent', packet_type: packetTypeLabel(packet) })
        backend.onPacket(packet)
      },
      onSent: (type) => this.#deps.metrics.streamPackets.add({ segment: 'to_agent', packet_type: typeLabel(type) }),
      onClose: (error) => {
        this.#deps.manager.remove(backend)
        // Not one that was a duplicate, or that was replaced by a newer connection of the same agent.
        const isGone = !this.#deps.manager.list().some((other) => isSameAgent(other, backend))
        if (isGone) this.#deps.lost.note(backend.identity, { drained: backend.draining, error })
        if (isGone && !backend.draining) this.#deps.metrics.lostAgents.add({ node: peer.nodeName ?? agentId })
        if (error !== undefined) {
          const labels = { segment: 'from_agent', code: 'Unavailable', packet_type: 'Unknown' }
          this.#deps.metrics.streamErrors.add(labels)
        }
        log.info('agent disconnected', { err: error })
        backend.close(error)
      },
    })
    const identifiers = parseIdentifiers(headers[metadata.agentIdentifiers] ?? '', peer.nodeName)
    const backend = new Backend(
      { identity: { agentId, nodeName: peer.nodeName, ...identifiers }, flow, remoteAddress: peer.remoteAddress },
      {
        session,
        control,
        buffers: this.#deps.buffers,
        log,
        keepalive: new Keepalive(
          session,
          flow === 'streams' ? keepalive.own : { ...keepalive.upstream, intervalMs: this.#options.keepaliveMs },
        ),
        onUnrecognizedResponse: () => this.#deps.metrics.dialFailures.add({ reason: 'unrecognized_response' }),
        onReceiveQueueFull: () => this.#deps.metrics.receiveQueueFull.add(),
      },
    )
    this.#backends.set(session, backend)
    this.#unproven.prove(session.socket)
    this.#deps.manager.add(backend)
    log.info('agent connected', { flow, hosts: backend.identity.hosts })
  }

  #connection(session: AgentSession, stream: Http2Duplex, headers: Headers): void {
    const random = parseDialId(headers[protocol.metadata.dial])
    const backend = this.#backends.get(session)
    stream.respondLater(CONNECTION_ANSWER)
    if (random !== undefined && backend instanceof Backend && backend.acceptStream(random, stream)) return
    // The frontend gave up meanwhile, or the agent invents dials: either way it closes its endpoint.
    stream.destroy(new Error('no such dial'))
  }
}

const CONNECTION_ANSWER = encodeHeaders({ ':status': '200' })

function isSameAgent(a: Backend, b: Backend): boolean {
  const { nodeName, agentId } = b.identity
  return nodeName === undefined ? a.identity.agentId === agentId : a.identity.nodeName === nodeName
}

function parseDialId(value: unknown): bigint | undefined {
  return typeof value === 'string' && /^\d{1,19}$/.test(value) ? BigInt(value) : undefined
}
