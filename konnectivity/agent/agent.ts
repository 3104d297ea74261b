import { createAgentMetrics } from '#konnectivity/agent/metrics.ts'
import type { AgentMetrics } from '#konnectivity/agent/metrics.ts'
import { ENDPOINT_DIAL_TIMEOUT_MS } from '#konnectivity/agent/endpoint.ts'
import { KnownServers } from '#konnectivity/agent/known-servers.ts'
import { discoveryDefaults } from '#konnectivity/agent/options.ts'
import type {
  AgentTls,
  KonnectivityAgentDeps,
  KonnectivityAgentOptions,
  ServerAddress,
  ServerLinkStatus,
} from '#konnectivity/agent/options.ts'
import { ServerLink, serverName } from '#konnectivity/agent/server-link.ts'
import { Buffers } from '#konnectivity/tunnel/buffers.ts'
import { addUp } from '#konnectivity/tunnel/drain.ts'
import type { DrainResult } from '#konnectivity/tunnel/drain.ts'
import { WINDOW_BUDGET_BYTES } from '#konnectivity/tunnel/protocol.ts'
import type { AgentHello } from '#konnectivity/agent/session.ts'

/** The tunnel agent of a worker: one connection to each server, over which the servers reach this host's network. */
export class KonnectivityAgent {
  readonly metrics: AgentMetrics
  readonly #options: KonnectivityAgentOptions
  readonly #deps: KonnectivityAgentDeps
  readonly #buffers: Buffers
  readonly #links = new Map<string, ServerLink>()
  readonly #stopping = new Set<Promise<DrainResult>>()
  readonly #known: KnownServers
  #servers: readonly ServerAddress[]
  #tls: AgentTls
  #running = false

  constructor(options: KonnectivityAgentOptions, deps: KonnectivityAgentDeps) {
    this.#options = options
    this.#buffers = new Buffers({ limitBytes: options.bufferLimitBytes ?? WINDOW_BUDGET_BYTES })
    this.#deps = deps
    this.#servers = options.servers
    this.#tls = options.tls
    const { serverCountSource: source } = options
    const { leases } = deps
    this.#known = new KnownServers({ ...(source && { source }), ...(leases && { fromLeases: () => leases.count() }) })
    this.metrics = createAgentMetrics({
      openServers: () => this.#known.connected,
      knownServers: () => Math.max(this.#known.wanted, this.#links.size),
      bufferBytes: () => this.#buffers.bytes,
      openEndpoints: () => [...this.#links.values()].reduce((sum, link) => sum + link.openConnections, 0),
    })
  }

  /** Begins to connect to every server, in the background; see `status` for the outcome. */
  start(): void {
    this.#running = true
    this.#reconcile()
  }

  /**
   * Announces the stop to the servers, serves what is open for at most `drainMs` (connections without traffic for a
   * second are closed before), and disconnects; `now` ends the wait. Idempotent. Default: at once.
   */
  async stop(options: { readonly drainMs?: number; readonly now?: AbortSignal } = {}): Promise<void> {
    this.#running = false
    const { drainMs = 0, now } = options
    for (const name of [...this.#links.keys()]) this.#remove(name, drainMs, now)
    const { idle, cut } = addUp(await Promise.all(this.#stopping))
    if (drainMs > 0) this.#deps.log.info('agent drained', { idleClosed: idle, cut })
  }

  /** The servers to be connected to from now on; the connections to others that remain are not touched. */
  setServers(servers: readonly ServerAddress[]): void {
    this.#servers = servers
    if (this.#running) this.#reconcile()
  }

  /** A renewed certificate, used from the next connection on. */
  setTls(tls: AgentTls): void {
    this.#tls = tls
  }

  /** The number of server leases changed. */
  serverCountChanged(): void {
    this.#known.changed()
  }

  /** One entry for each connection, and for each address without any, in the order of the addresses. */
  status(): readonly ServerLinkStatus[] {
    return [...this.#links.values()].flatMap((link) => link.status())
  }

  #reconcile(): void {
    const wanted = new Map(this.#servers.map((address) => [serverName(address), address]))
    for (const name of [...this.#links.keys()]) if (!wanted.has(name)) this.#remove(name, REMOVED_SERVER_DRAIN_MS)
    for (const [name, address] of wanted) {
      if (this.#links.has(name)) continue
      const link = this.#createLink(name, address)
      this.#links.set(name, link)
      link.start()
    }
  }

  #createLink(name: string, address: ServerAddress): ServerLink {
    const { endpointDialTimeoutMs = ENDPOINT_DIAL_TIMEOUT_MS, discovery, keepaliveMs } = this.#options
    const { dialsPerConnection = DIALS_PER_CONNECTION } = this.#options
    return new ServerLink(
      {
        address,
        endpointDialTimeoutMs,
        dialsPerConnection,
        discovery: { ...discoveryDefaults, ...discovery },
        ...(keepaliveMs !== undefined && { keepaliveMs }),
      },
      {
        known: this.#known,
        unconnectedAddresses: () => [...this.#links.values()].filter(({ connected }) => !connected).length,
        credentials: async () => ({ tls: await this.#readTls(), hello: await this.#hello() }),
        metrics: this.metrics,
        buffers: this.#buffers,
        log: this.#deps.log.child({ server: name }),
      },
    )
  }

  #remove(name: string, drainMs: number, now?: AbortSignal): void {
    const link = this.#links.get(name)
    this.#links.delete(name)
    if (link === undefined) return
    const stopped = link.stop(drainMs, now).finally(() => this.#stopping.delete(stopped))
    this.#stopping.add(stopped)
  }

  async #readTls(): Promise<AgentTls> {
    try {
      this.#tls = (await this.#options.readTls?.()) ?? this.#tls
    } catch (err) {
      this.#deps.log.warn('cannot read the certificate again, using the one before', { err })
    }
    return this.#tls
  }

  async #hello(): Promise<AgentHello> {
    const { nodeName, agentId = nodeName, identifiers, readToken, flow = 'streams' } = this.#options
    const query = new URLSearchParams()
    for (const key of ['ipv4', 'ipv6', 'host', 'cidr'] as const)
      for (const value of identifiers[key] ?? []) query.append(key, value)
    if (identifiers.defaultRoute === true) query.append('default-route', 'true')
    return { agentId, identifiers: query.toString(), token: await readToken?.(), flow }
  }
}

/** Half of what HTTP/2 has numbers for: the others are for dials that come while the next connection is made. */
const DIALS_PER_CONNECTION = 2 ** 29

/** A server that left the list may be going away for good, but its open sessions are somebody's `kubectl exec`. */
const REMOVED_SERVER_DRAIN_MS = 30_000
