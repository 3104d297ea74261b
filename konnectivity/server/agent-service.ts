import { createSecureServer } from 'node:http2'
import type { Http2SecureServer, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import { Server as NetServer } from 'node:net'
import type { AddressInfo, ListenOptions, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { errorMessage } from '#pkg/errors/error.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { packetTypeLabel } from '#konnectivity/proto/packet.ts'
import { Backend } from '#konnectivity/server/backend.ts'
import type { BackendManager } from '#konnectivity/server/backend-manager.ts'
import { refuseStream } from '#konnectivity/server/grpc-status.ts'
import { AgentRefusedError, parseIdentifiers } from '#konnectivity/server/identity.ts'
import type { AgentAuthenticator } from '#konnectivity/server/identity.ts'
import type { LostAgents } from '#konnectivity/server/lost-agents.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'
import { Keepalive, keepalive } from '#konnectivity/tunnel/keepalive.ts'
import { listen } from '#konnectivity/tunnel/listen.ts'
import type { PortSharing } from '#konnectivity/tunnel/listen.ts'
import { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'
import { ReadGuard } from '#konnectivity/tunnel/read-guard.ts'
import * as protocol from '#konnectivity/tunnel/protocol.ts'

/** TLS files' contents of the agent listener. */
export interface AgentServiceOptions {
  readonly certPem: string
  readonly keyPem: string
  /** CA of the agents' certificates. */
  readonly caPem: string
  readonly serverId: string
  readonly serverCount: number
}

/** Collaborators of the agent service. */
export interface AgentServiceDeps {
  readonly authenticator: AgentAuthenticator
  readonly manager: BackendManager
  readonly lost: LostAgents
  readonly metrics: ServerMetrics
  readonly log: Logger
}

/** A session that has not proven itself by then is closed. */
const AUTHENTICATION_TIMEOUT_MS = 10_000

/** AgentService/Connect and, for our own agents, the streams that carry their connections. */
export class AgentService {
  readonly server: Http2SecureServer
  #where: { readonly where: ListenOptions; readonly sharing: PortSharing } | undefined
  readonly #options: AgentServiceOptions
  readonly #deps: AgentServiceDeps
  /** Sockets under the sessions, by remote address: a session that ends gracefully waits for its peer's end. */
  readonly #sockets = new Map<string, Socket>()
  readonly #readGuard = new ReadGuard()
  /** Backends by their session: a connection stream belongs to a dial of its own session only. */
  readonly #backends = new WeakMap<ServerHttp2Session, Backend[]>()

  constructor(options: AgentServiceOptions, deps: AgentServiceDeps) {
    this.#options = options
    this.#deps = deps
    this.server = createSecureServer({
      cert: options.certPem,
      key: options.keyPem,
      ca: options.caPem,
      minVersion: 'TLSv1.2',
      // The authenticator decides, so that the reason of a refusal is logged and another kind of proof is possible.
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: AUTHENTICATION_TIMEOUT_MS,
      noDelay: true,
      settings: protocol.http2Settings,
      maxSessionMemory: protocol.MAX_SESSION_MEMORY_MB,
      // Endpoints that reset their connections reset streams: not an attack on this listener, whose peers are known.
      streamResetBurst: 1_000_000,
      streamResetRate: 1_000_000,
    })
    this.server.on('connection', (socket: Socket) => this.#onConnection(socket))
    this.server.on('session', (session) => this.#onSession(session))
    this.server.on('stream', (stream, headers) => this.#onStream(stream, headers))
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
    // Http2SecureServer's own close() also lets its sessions open no more streams.
    if (this.server.listening) NetServer.prototype.close.call(this.server)
  }

  /** Undoes `pauseAccepting`. @throws TunnelListenError */
  async resumeAccepting(): Promise<void> {
    if (this.#where === undefined || this.server.listening) return
    await listen(this.server, { backlog: 1024, ...this.#where.where }, 'tunnel agents', this.#where.sharing)
  }

  /** Disconnects every agent. */
  destroySessions(): void {
    for (const socket of this.#sockets.values()) socket.destroy()
  }

  #onConnection(socket: Socket): void {
    const key = remoteKey(socket)
    this.#sockets.set(key, socket)
    socket.once('close', () => this.#sockets.delete(key))
  }

  #onSession(session: ServerHttp2Session): void {
    const socket = this.#sockets.get(remoteKey(session.socket))
    session.setLocalWindowSize(protocol.SESSION_WINDOW_BYTES)
    this.#readGuard.watch(session)
    const timer = setTimeout(() => {
      if (!this.#backends.has(session)) socket?.destroy()
    }, AUTHENTICATION_TIMEOUT_MS)
    session.on('error', (error) => this.#deps.log.debug('agent session failed', { err: error }))
    socket?.once('close', () => clearTimeout(timer))
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const ignoreLate = (): void => undefined
    stream.on('error', ignoreLate)
    switch (headers[':path']) {
      case protocol.paths.connect:
        void this.#connect(stream, headers)
        return
      case protocol.paths.connection:
        this.#connection(stream, headers)
        return
      default:
        refuseStream(stream, 'unimplemented', `unknown method ${headers[':path'] ?? ''}`)
    }
  }

  async #connect(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const session = stream.session as ServerHttp2Session
    const remoteAddress = session.socket.remoteAddress ?? 'unknown'
    try {
      const { nodeName } = await this.#authenticate(session, headers)
      if (!stream.destroyed && !stream.closed) this.#accept(stream, headers, { nodeName, remoteAddress })
    } catch (error) {
      this.#deps.metrics.agentRefusals.add()
      const detail = error instanceof AgentRefusedError ? error.detail : undefined
      this.#deps.log.warn('agent refused', { remote: remoteAddress, err: error, detail })
      refuseStream(stream, error instanceof AgentRefusedError ? 'unauthenticated' : 'unavailable', errorMessage(error))
      session.close()
    }
  }

  async #authenticate(
    session: ServerHttp2Session,
    headers: IncomingHttpHeaders,
  ): Promise<{ nodeName: string | undefined }> {
    const socket = session.socket as TLSSocket
    const certificate = socket.getPeerCertificate()
    if (typeof headers[protocol.metadata.agentId] !== 'string')
      throw new AgentRefusedError('no agentID in its metadata')
    return this.#deps.authenticator.authenticate({
      verified: socket.authorized,
      verifyError: (socket.authorizationError as Error | string | undefined)?.toString(),
      // An empty object stands for "none".
      certificate: Object.keys(certificate).length === 0 ? undefined : certificate,
      authorization: headers.authorization,
    })
  }

  #accept(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    peer: { readonly nodeName: string | undefined; readonly remoteAddress: string },
  ): void {
    const { metadata } = protocol
    const session = stream.session as ServerHttp2Session
    const agentId = String(headers[metadata.agentId])
    const flow = headers[metadata.flow] === protocol.STREAMS_FLOW ? 'streams' : 'packets'
    const log = this.#deps.log.child({ node: peer.nodeName, agent: agentId, remote: peer.remoteAddress })
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        [metadata.serverId]: this.#options.serverId,
        [metadata.serverCount]: String(this.#options.serverCount),
        ...(flow === 'streams' && { [metadata.flow]: protocol.STREAMS_FLOW }),
      },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    const control = new PacketStream(stream, {
      onPacket: (packet) => {
        this.#deps.metrics.streamPackets.add({ segment: 'from_agent', packet_type: packetTypeLabel(packet) })
        backend.onPacket(packet)
      },
      onClose: (error) => {
        this.#deps.manager.remove(backend)
        this.#deps.lost.note(backend.identity, { drained: backend.draining, error })
        if (!backend.draining) this.#deps.metrics.lostAgents.add({ node: peer.nodeName ?? agentId })
        if (error !== undefined) this.#deps.metrics.streamErrors.add({ segment: 'from_agent' })
        log.info('agent disconnected', { err: error })
        backend.close(error)
      },
    })
    const identifiers = parseIdentifiers(String(headers[metadata.agentIdentifiers] ?? ''), peer.nodeName)
    const backend = new Backend(
      { identity: { agentId, nodeName: peer.nodeName, ...identifiers }, flow, remoteAddress: peer.remoteAddress },
      {
        session,
        control,
        log,
        keepalive: new Keepalive(session, flow === 'streams' ? keepalive.own : keepalive.upstream),
        onReceiveQueueFull: () => this.#deps.metrics.receiveQueueFull.add(),
      },
    )
    this.#backends.set(session, [...(this.#backends.get(session) ?? []), backend])
    this.#deps.manager.add(backend)
    log.info('agent connected', { flow, hosts: backend.identity.hosts })
  }

  #connection(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const random = parseDialId(headers[protocol.metadata.dial])
    const backends = this.#backends.get(stream.session as ServerHttp2Session) ?? []
    stream.respond({ ':status': 200 })
    if (random !== undefined && backends.some((backend) => backend.acceptStream(random, stream))) return
    // The frontend gave up meanwhile, or the agent invents dials: either way it closes its endpoint.
    stream.destroy(new Error('no such dial'))
  }
}

function parseDialId(value: unknown): bigint | undefined {
  return typeof value === 'string' && /^\d{1,19}$/.test(value) ? BigInt(value) : undefined
}

function remoteKey({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${String(remoteAddress)} ${String(remotePort)}`
}
