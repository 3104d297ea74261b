import { randomUUID } from 'node:crypto'
import { createServer as createHttp2Server, createSecureServer } from 'node:http2'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import type { Logger } from '#pkg/log/logger.ts'
import { AgentService } from '#konnectivity/server/agent-service.ts'
import { BackendManager } from '#konnectivity/server/backend-manager.ts'
import { ConnectFrontend } from '#konnectivity/server/connect-frontend.ts'
import { TunnelDialer } from '#konnectivity/server/dialer.ts'
import { adminRoutes, healthRoutes } from '#konnectivity/server/endpoints.ts'
import { GrpcFrontend } from '#konnectivity/server/grpc-frontend.ts'
import { certificateAuthenticator } from '#konnectivity/server/identity.ts'
import type { AgentAuthenticator } from '#konnectivity/server/identity.ts'
import { LostAgents } from '#konnectivity/server/lost-agents.ts'
import { createServerMetrics } from '#konnectivity/server/metrics.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'
import { OpenConnections } from '#konnectivity/server/open-connections.ts'
import { serverDefaults } from '#konnectivity/server/options.ts'
import type { KonnectivityServerOptions } from '#konnectivity/server/options.ts'
import { serverStatus } from '#konnectivity/server/status.ts'
import type { ServerStatus } from '#konnectivity/server/status.ts'
import { HttpEndpoint } from '#konnectivity/tunnel/http-endpoint.ts'
import { listen, listenUnix, TunnelListenError } from '#konnectivity/tunnel/listen.ts'
import { readPem } from '#konnectivity/tunnel/pem.ts'
import { http2Settings, MAX_SESSION_MEMORY_MB } from '#konnectivity/tunnel/protocol.ts'

/** Collaborators of the server. */
export interface KonnectivityServerDeps {
  readonly log: Logger
  /** Default: client certificates of tunnel agents. */
  readonly authenticator?: AgentAuthenticator
}

/** Ports that the server bound; they differ from the options where those were 0. */
export interface ServerAddresses {
  readonly agentPort: number
  readonly serverPort: number | undefined
  readonly healthPort: number
  readonly adminPort: number
}

/** The tunnel server: accepts agents on one side and kube-apiserver on the other, and joins their connections. */
export class KonnectivityServer {
  readonly #options: EffectiveOptions
  readonly #deps: KonnectivityServerDeps
  readonly #manager: BackendManager
  readonly #lost = new LostAgents()
  readonly #startedAt = new Date()
  readonly #metrics: ServerMetrics
  readonly #connections: OpenConnections
  readonly #connectFrontend: ConnectFrontend
  readonly #grpcFrontend: GrpcFrontend
  readonly #health: HttpEndpoint
  readonly #admin: HttpEndpoint
  #agents: AgentService | undefined
  #frontend: Server | undefined

  constructor(options: KonnectivityServerOptions, deps: KonnectivityServerDeps) {
    this.#options = { ...serverDefaults, ...options }
    this.#deps = deps
    this.#manager = new BackendManager({ strategies: this.#options.proxyStrategies })
    this.#metrics = createServerMetrics({
      grpcFrontends: () => this.#grpcFrontend.open,
      agentStreams: () => this.#manager.list().length,
      httpFrontends: () => this.#connectFrontend.open,
      backends: () => this.#manager.counts(),
      pendingDials: () => this.#manager.list().reduce((sum, backend) => sum + backend.pendingDials, 0),
      established: () => this.#connections.size,
    })
    this.#connections = new OpenConnections({ metrics: this.#metrics })
    const timeoutMs = boundedTimeout(this.#options.backendDialTimeoutMs)
    const dialer = new TunnelDialer({ timeoutMs }, { manager: this.#manager, metrics: this.#metrics })
    const frontend = { dialer, connections: this.#connections, log: deps.log.child({ stream: 'frontend' }) }
    this.#connectFrontend = new ConnectFrontend(frontend)
    this.#grpcFrontend = new GrpcFrontend(frontend)
    this.#health = new HttpEndpoint('tunnel health', healthRoutes(this.#manager, this.#metrics))
    this.#admin = new HttpEndpoint(
      'tunnel admin',
      adminRoutes(this.#metrics, () => this.status()),
    )
  }

  /** Binds every listener or none. @throws TunnelListenError, TunnelFileError */
  async start(): Promise<ServerAddresses> {
    try {
      const agentPort = await this.#startAgentService()
      const serverPort = await this.#startFrontend()
      const { healthBindAddress, healthPort, adminBindAddress, adminPort } = this.#options
      const addresses = {
        agentPort,
        serverPort,
        healthPort: await this.#health.start(healthBindAddress, healthPort),
        adminPort: await this.#admin.start(adminBindAddress, adminPort),
      }
      this.#deps.log.info('tunnel server listens', {
        ...addresses,
        socket: this.#options.udsName,
        mode: this.#options.mode,
      })
      return addresses
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /**
   * Accepts nothing new, lets open connections go on for at most `gracefulShutdownTimeoutMs`, then closes everything.
   * Idempotent.
   */
  async stop(): Promise<void> {
    const closing = [this.#frontend, this.#agents?.server].filter((server) => server?.listening).map(close)
    await this.#connections.whenIdle(this.#options.gracefulShutdownTimeoutMs)
    this.#connections.destroy()
    this.#connectFrontend.destroy()
    this.#grpcFrontend.destroy()
    this.#agents?.destroySessions()
    await Promise.all([...closing, this.#health.stop(), this.#admin.stop()])
  }

  /** Agents and open connections at this moment. */
  status(): ServerStatus {
    return serverStatus({
      serverId: this.#options.serverId,
      startedAt: this.#startedAt,
      manager: this.#manager,
      connections: this.#connections,
      lost: this.#lost,
    })
  }

  async #startAgentService(): Promise<number> {
    const { clusterCert, clusterKey, clusterCaCert, agentPort, agentBindAddress, serverCount } = this.#options
    const [certPem, keyPem, caPem] = await Promise.all([
      readPem(clusterCert, 'cluster-cert'),
      readPem(clusterKey, 'cluster-key'),
      readPem(clusterCaCert, 'cluster-ca-cert'),
    ])
    this.#agents = new AgentService(
      { certPem, keyPem, caPem, serverId: this.#options.serverId ?? randomUUID(), serverCount },
      {
        authenticator: this.#deps.authenticator ?? certificateAuthenticator,
        manager: this.#manager,
        lost: this.#lost,
        metrics: this.#metrics,
        log: this.#deps.log.child({ stream: 'agent' }),
      },
    )
    const where = { port: agentPort, ...(agentBindAddress !== undefined && { host: agentBindAddress }) }
    await listen(this.#agents.server, { ...where, backlog: 1024 }, 'tunnel agents')
    return (this.#agents.server.address() as AddressInfo).port
  }

  async #startFrontend(): Promise<number | undefined> {
    const { udsName, udsGid, deleteExistingUdsFile, serverPort, serverBindAddress } = this.#options
    const tls = udsName === undefined ? await this.#frontendTls() : undefined
    this.#frontend = this.#createFrontend(tls)
    if (udsName !== undefined) {
      const socket = { path: udsName, gid: udsGid, deleteExisting: deleteExistingUdsFile }
      await listenUnix(this.#frontend, socket, 'tunnel frontend')
      return undefined
    }
    const where = { port: serverPort, ...(serverBindAddress !== undefined && { host: serverBindAddress }) }
    await listen(this.#frontend, { ...where, backlog: 1024 }, 'tunnel frontend')
    return (this.#frontend.address() as AddressInfo).port
  }

  #createFrontend(tls: TlsOptions | undefined): Server {
    if (this.#options.mode === 'http-connect') {
      const options = { allowHalfOpen: true, noDelay: true }
      if (tls === undefined) return createServer(options, this.#connectFrontend.serve)
      return createTlsServer({ ...tls, ...options }, this.#connectFrontend.serve)
    }
    const http2 = { settings: http2Settings, maxSessionMemory: MAX_SESSION_MEMORY_MB }
    const server = tls === undefined ? createHttp2Server(http2) : createSecureServer({ ...tls, ...http2 })
    this.#grpcFrontend.attach(server)
    return server
  }

  async #frontendTls(): Promise<TlsOptions> {
    const { serverCert, serverKey, serverCaCert } = this.#options
    if (serverCert === undefined || serverKey === undefined || serverCaCert === undefined) {
      throw new TunnelListenError(
        'cannot open the frontend over TCP without TLS; give --server-cert, --server-key and --server-ca-cert, or --uds-name',
      )
    }
    const [cert, key, ca] = await Promise.all([
      readPem(serverCert, 'server-cert'),
      readPem(serverKey, 'server-key'),
      readPem(serverCaCert, 'server-ca-cert'),
    ])
    return {
      cert,
      key,
      ca,
      minVersion: 'TLSv1.2',
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: 10_000,
    }
  }
}

type EffectiveOptions = KonnectivityServerOptions &
  Required<Pick<KonnectivityServerOptions, keyof typeof serverDefaults>>

/** 0 means "no timeout" upstream, which let dials pile up for ever. */
function boundedTimeout(ms: number): number {
  return ms > 0 ? Math.min(ms, serverDefaults.backendDialTimeoutMs) : serverDefaults.backendDialTimeoutMs
}

function close(server: { close(done: () => void): unknown } | undefined): Promise<void> {
  return new Promise((resolve) => server?.close(() => resolve()))
}
