import { randomUUID } from 'node:crypto'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { AgentService } from '#konnectivity/server/agent-service.ts'
import { BackendManager } from '#konnectivity/server/backend-manager.ts'
import { ConnectFrontend } from '#konnectivity/server/connect-frontend.ts'
import { TunnelDialer } from '#konnectivity/server/dialer.ts'
import { adminRoutes, healthRoutes } from '#konnectivity/server/endpoints.ts'
import { FrontendListener } from '#konnectivity/server/frontend-listener.ts'
import { GrpcFrontend } from '#konnectivity/server/grpc-frontend.ts'
import { findPredecessor, HandOverOffer } from '#konnectivity/server/hand-over.ts'
import type { MovingAgents, Predecessor } from '#konnectivity/server/hand-over.ts'
import { certificateAuthenticator } from '#konnectivity/server/identity.ts'
import type { AgentAuthenticator } from '#konnectivity/server/identity.ts'
import { LostAgents } from '#konnectivity/server/lost-agents.ts'
import type { ServerLeaseStore } from '#konnectivity/server/kubernetes.ts'
import { LeaseController } from '#konnectivity/server/lease-controller.ts'
import { createServerMetrics } from '#konnectivity/server/metrics.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'
import { OpenConnections } from '#konnectivity/server/open-connections.ts'
import { serverDefaults } from '#konnectivity/server/options.ts'
import type { EffectiveServerOptions, KonnectivityServerOptions } from '#konnectivity/server/options.ts'
import { serverStatus } from '#konnectivity/server/status.ts'
import type { ServerStatus } from '#konnectivity/server/status.ts'
import { TlsFiles } from '#konnectivity/server/tls-files.ts'
import { Buffers } from '#konnectivity/tunnel/buffers.ts'
import { HttpEndpoint } from '#konnectivity/tunnel/http-endpoint.ts'
import type { PortSharing } from '#konnectivity/tunnel/listen.ts'
import { TunnelFileError } from '#konnectivity/tunnel/pem.ts'

/** Collaborators of the server. */
export interface KonnectivityServerDeps {
  readonly log: Logger
  /** Default: client certificates of tunnel agents. */
  readonly authenticator?: AgentAuthenticator
  /** Where this server keeps a Lease, by which agents count servers; without it, it keeps none. */
  readonly leases?: ServerLeaseStore
  /** How often certificates are looked at, milliseconds. Default 10 s. */
  readonly reloadEveryMs?: number
}

/** Ports that the server bound; they differ from the options where those were 0. */
export interface ServerAddresses {
  readonly agentPort: number
  readonly serverPort: number | undefined
  readonly healthPort: number
  readonly adminPort: number
}

/** How long agents may take to move to a successor before it serves without them. */
const MOVE_TIMEOUT_MS = 5_000
/** After the path leads to the successor: what still knocked on the old socket is accepted within this time. */
const LAST_KNOCK_MS = 100
/** How often a draining server looks for upstream agents that it can let go. */
const RELEASE_EVERY_MS = 100
/** What it lets go then in use: until its agent has moved, dials wait at the successor, and callers wait for about 10 s. */
const RELEASE_WITHIN_MS = 5_000

/** The tunnel server: accepts agents on one side and kube-apiserver on the other, and joins their connections. */
export class KonnectivityServer {
  /** Resolves when a successor serves: this server is then to be stopped. */
  readonly handedOver: Promise<void>
  readonly #options: EffectiveServerOptions
  readonly #deps: KonnectivityServerDeps
  readonly #manager: BackendManager
  readonly #lost = new LostAgents()
  readonly #buffers: Buffers
  readonly #startedAt = new Date()
  readonly #metrics: ServerMetrics
  readonly #dialer: TunnelDialer
  readonly #connections: OpenConnections
  readonly #connectFrontend: ConnectFrontend
  readonly #grpcFrontend: GrpcFrontend
  readonly #frontend: FrontendListener
  readonly #health: HttpEndpoint
  readonly #admin: HttpEndpoint
  readonly #offer: HandOverOffer
  readonly #serverId: string
  #agents: AgentService | undefined
  #agentFiles: TlsFiles | undefined
  #lease: LeaseController | undefined
  #predecessor: Predecessor | undefined
  #waitsForAgentsSince = performance.now()
  #hadAgent = false
  /** The predecessor has agents that come only when it lets them go. */
  #agentsStay = false
  #isHandedOver = false
  #stopped: Promise<void> | undefined

  constructor(options: KonnectivityServerOptions, deps: KonnectivityServerDeps) {
    this.#options = { ...serverDefaults, ...options }
    this.#deps = deps
    this.#buffers = new Buffers({ limitBytes: this.#options.bufferLimitBytes })
    this.#serverId = options.serverId ?? randomUUID()
    this.#manager = new BackendManager({ strategies: this.#options.proxyStrategies })
    this.#manager.onAdd(() => (this.#hadAgent = true))
    this.#metrics = createServerMetrics({
      grpcFrontends: () => this.#grpcFrontend.open,
      agentStreams: () => this.#manager.list().length,
      httpFrontends: () => this.#connectFrontend.open,
      backends: () => this.#manager.counts(),
      pendingDials: () => this.#manager.list().reduce((sum, backend) => sum + backend.pendingDials, 0),
      established: () => this.#connections.size,
      blocked: () => this.#connections.blocked,
      unproven: () => this.#agents?.unproven ?? 0,
      bufferBytes: () => this.#buffers.bytes,
    })
    this.#connections = new OpenConnections({ metrics: this.#metrics })
    const timeoutMs = boundedTimeout(this.#options.backendDialTimeoutMs)
    this.#dialer = new TunnelDialer(
      { timeoutMs },
      { manager: this.#manager, metrics: this.#metrics, agentsMayCome: () => this.#agentsMayCome() },
    )
    const frontend = {
      dialer: this.#dialer,
      connections: this.#connections,
      metrics: this.#metrics,
      log: deps.log.child({ stream: 'frontend' }),
    }
    this.#connectFrontend = new ConnectFrontend(frontend)
    this.#grpcFrontend = new GrpcFrontend({ ...frontend, buffers: this.#buffers })
    this.#frontend = new FrontendListener(this.#options, {
      connect: this.#connectFrontend,
      grpc: this.#grpcFrontend,
      log: deps.log,
    })
    this.#health = new HttpEndpoint('tunnel health', healthRoutes(this.#manager, this.#metrics))
    this.#admin = new HttpEndpoint(
      'tunnel admin',
      adminRoutes(this.#metrics, () => this.status()),
    )
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.handedOver = promise.then(() => undefined)
    const taken = (): void => {
      this.#isHandedOver = true
      resolve(undefined)
    }
    const actions = { prepare: () => this.#sendAgentsAway(), resume: () => void this.#keepAgents(), taken }
    this.#offer = new HandOverOffer(actions, { log: deps.log })
  }

  /**
   * Binds every listener or none. Where a server runs already that offers to hand over, takes its place: the frontend is
   * opened once its agents have come.
   *
   * @throws TunnelListenError, TunnelFileError
   */
  async start(): Promise<ServerAddresses> {
    try {
      this.#waitsForAgentsSince = performance.now()
      const handoverSocket = this.#handoverSocket()
      if (handoverSocket !== undefined) this.#predecessor = await findPredecessor(handoverSocket)
      const sharing = handoverSocket === undefined ? 'none' : this.#predecessor === undefined ? 'first' : 'successor'
      const { healthBindAddress, healthPort, adminBindAddress, adminPort } = this.#options
      const ports = {
        agentPort: await this.#startAgentService(sharing),
        healthPort: await this.#health.start(healthBindAddress, healthPort, sharing),
        adminPort: await this.#admin.start(adminBindAddress, adminPort, sharing),
      }
      await this.#awaitAgents()
      const addresses = { ...ports, serverPort: await this.#frontend.open(sharing) }
      this.#predecessor?.taken()
      if (handoverSocket !== undefined) await this.#offer.start(handoverSocket)
      this.#startLease()
      const { udsName: socket, mode } = this.#options
      this.#deps.log.info('tunnel server listens', { ...addresses, socket, mode, successor: sharing === 'successor' })
      return addresses
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /**
   * Accepts nothing new, lets open connections go on for a time (`handoverTimeoutMs` when a successor took over, else
   * `gracefulShutdownTimeoutMs`), then closes everything; `now` ends the wait. Idempotent.
   */
  stop(options: { readonly now?: AbortSignal } = {}): Promise<void> {
    this.#stopped ??= this.#stop(options.now ?? new AbortController().signal)
    return this.#stopped
  }

  /** Agents and open connections at this moment. */
  status(): ServerStatus {
    return serverStatus({
      serverId: this.#serverId,
      startedAt: this.#startedAt,
      manager: this.#manager,
      connections: this.#connections,
      lost: this.#lost,
    })
  }

  async #stop(now: AbortSignal): Promise<void> {
    const { handoverTimeoutMs, gracefulShutdownTimeoutMs } = this.#options
    const timeoutMs = this.#isHandedOver ? handoverTimeoutMs : gracefulShutdownTimeoutMs
    this.#predecessor?.close()
    const endpoints = [this.#health.stop(), this.#admin.stop(), this.#lease?.stop()]
    if (this.#isHandedOver) await sleep(LAST_KNOCK_MS)
    else if (timeoutMs > 0) this.#sendAgentsAway()
    this.#agentFiles?.stop()
    this.#agents?.pauseAccepting()
    const frontend = this.#frontend.close()
    if (timeoutMs > 0) await this.#drain(timeoutMs, now)
    this.#connections.destroy()
    this.#connectFrontend.destroy()
    this.#grpcFrontend.destroy()
    await Promise.all([...endpoints, frontend, this.#agents?.destroySessions()])
    // Last: its end tells the successor that no agent comes from here any more.
    await this.#offer.stop()
  }

  async #drain(timeoutMs: number, now: AbortSignal): Promise<void> {
    let released = 0
    const releaseAt = this.#isHandedOver ? performance.now() + RELEASE_WITHIN_MS : Infinity
    const releasing = setInterval(() => {
      // Upstream's agents cannot be asked to move: they dial anew when they are disconnected.
      for (const backend of this.#manager.list()) {
        if (backend.flow !== 'packets' || backend.closed || (!backend.unused && performance.now() < releaseAt)) continue
        released += backend.traffic.openConnections
        backend.destroy()
      }
    }, RELEASE_EVERY_MS)
    const pending = (): number => this.#dialer.pending + this.#connectFrontend.undecided
    const drained = await this.#connections.drain({ timeoutMs }, pending, now)
    clearInterval(releasing)
    const [idle, cut] = [drained.idle, drained.cut + released]
    this.#metrics.drainedConnections.add({ reason: 'idle' }, idle)
    this.#metrics.drainedConnections.add({ reason: 'cut' }, cut)
    this.#deps.log.info('tunnel server drained', { idleClosed: idle, cut })
  }

  #handoverSocket(): string | undefined {
    const { handoverSocket, udsName } = this.#options
    const path = handoverSocket ?? (udsName === undefined ? '' : `${udsName}.handover`)
    return path === '' ? undefined : path
  }

  /** Everything new goes elsewhere; dials still come here until the successor serves. */
  #sendAgentsAway(): MovingAgents {
    this.#agents?.pauseAccepting()
    const all = this.#manager.list()
    const moving = all.filter((backend) => backend.askToMove()).length
    return { moving, staying: all.length - moving }
  }

  async #keepAgents(): Promise<void> {
    if (this.#stopped !== undefined) return
    try {
      await this.#agents?.resumeAccepting()
    } catch (error) {
      this.#deps.log.error('cannot accept agents again', { err: error })
    }
  }

  /** The predecessor sends its agents here; serving before they came would refuse dials. */
  async #awaitAgents(): Promise<void> {
    const predecessor = this.#predecessor
    if (predecessor === undefined) return
    const { moving: expected, staying } = await predecessor.prepare()
    this.#agentsStay = staying > 0
    // With its end the last of them are on their way here.
    predecessor.gone.addEventListener('abort', () => (this.#waitsForAgentsSince = performance.now()), { once: true })
    await withDeadline(predecessor.gone, MOVE_TIMEOUT_MS, async (signal) => {
      while (this.#manager.list().length < expected) await this.#manager.nextAdded(signal)
    }).catch(() => undefined)
    this.#deps.log.info('taking over from a running tunnel server', { expected, agents: this.#manager.list().length })
  }

  /** A dial without an agent waits at first: its agent has not come back yet, or is still with the predecessor. */
  #agentsMayCome(): boolean {
    if (this.#agentsStay && this.#predecessor?.alive === true) return true
    if (this.#hadAgent && !this.#agentsStay) return false
    return performance.now() - this.#waitsForAgentsSince < this.#options.agentWaitMs
  }

  #startLease(): void {
    const { leases, log } = this.#deps
    if (leases === undefined) return
    this.#lease = new LeaseController({ serverId: this.#serverId }, { leases, metrics: this.#metrics, log })
    this.#lease.start()
  }

  async #startAgentService(sharing: PortSharing): Promise<number> {
    const { agentPort, agentBindAddress, serverCount, keepaliveMs } = this.#options
    const files = this.#agentTlsFiles()
    this.#agentFiles = files
    this.#agents = new AgentService(
      { tls: await files.read(), serverId: this.#serverId, serverCount, keepaliveMs },
      {
        authenticator: this.#deps.authenticator ?? certificateAuthenticator,
        manager: this.#manager,
        lost: this.#lost,
        metrics: this.#metrics,
        buffers: this.#buffers,
        log: this.#deps.log.child({ stream: 'agent' }),
      },
    )
    const where = { port: agentPort, ...(agentBindAddress !== undefined && { host: agentBindAddress }) }
    const port = await this.#agents.listen(where, sharing)
    files.follow(this.#agents.server)
    return port
  }

  #agentTlsFiles(): TlsFiles {
    const { clusterCert, clusterKey, clusterCaCert, tlsMinVersion: minVersion, ciphers } = this.#options
    if (clusterCaCert === undefined && this.#deps.authenticator === undefined) {
      throw new TunnelFileError('without --cluster-ca-cert, or tokens, every host could be an agent: give one of them')
    }
    const files = {
      cert: { path: clusterCert, flag: 'cluster-cert' },
      key: { path: clusterKey, flag: 'cluster-key' },
      ca: clusterCaCert === undefined ? undefined : { path: clusterCaCert, flag: 'cluster-ca-cert' },
    }
    const { log, reloadEveryMs: everyMs } = this.#deps
    return new TlsFiles({ ...files, minVersion, ciphers }, { log, ...(everyMs !== undefined && { everyMs }) })
  }
}

/** 0 means "no timeout" upstream, which let dials pile up for ever. */
function boundedTimeout(ms: number): number {
  return ms > 0 ? Math.min(ms, serverDefaults.backendDialTimeoutMs) : serverDefaults.backendDialTimeoutMs
}
