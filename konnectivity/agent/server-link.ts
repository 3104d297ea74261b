import { errorMessage } from '#pkg/errors/error.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import type { Logger } from '#pkg/log/logger.ts'
import type { KnownServers } from '#konnectivity/agent/known-servers.ts'
import type { AgentMetrics } from '#konnectivity/agent/metrics.ts'
import type { AgentTls, DiscoveryOptions, ServerAddress, ServerLinkStatus } from '#konnectivity/agent/options.ts'
import { ServerSession } from '#konnectivity/agent/server-session.ts'
import type { AgentHello } from '#konnectivity/agent/session.ts'
import type { Buffers } from '#konnectivity/tunnel/buffers.ts'
import { addUp } from '#konnectivity/tunnel/drain.ts'
import type { DrainResult } from '#konnectivity/tunnel/drain.ts'

/** Plain data of a link. */
export interface ServerLinkOptions {
  readonly address: ServerAddress
  readonly endpointDialTimeoutMs: number
  readonly dialsPerConnection: number
  readonly discovery: Required<DiscoveryOptions>
  readonly keepaliveMs?: number
}

/** Collaborators of a link. */
export interface ServerLinkDeps {
  /** Read at each connect, so that a renewed certificate or token is used from the next connection on. */
  readonly credentials: () => Promise<{ readonly tls: AgentTls; readonly hello: AgentHello }>
  readonly known: KnownServers
  /** Addresses that have no connection at all: they come first where a server is missing. */
  readonly unconnectedAddresses: () => number
  readonly metrics: AgentMetrics
  readonly buffers: Buffers
  readonly log: Logger
}

/** A server that comes back is found within two seconds, however long it was away. */
const RECONNECT = { initialMs: 100, maxMs: 1_800, factor: 1.7, jitter: 0.4 }
/** Upstream's factor and jitter between --sync-interval and --sync-interval-cap. */
const SYNC = { factor: 1.5, jitter: 0.1 }
/** So many duplicates in a row are met at the same pace: a load balancer needs some tries to show all its servers. */
const PATIENT_DUPLICATES = 10
/** A connection that lived this long was a good one: the next delay is short again. */
const STABLE_MS = 5_000

/**
 * Keeps connections to what is behind one address: one at least and, where it is a load balancer, more until every server
 * is known. Only `#run` opens connections, one at a time.
 */
export class ServerLink {
  readonly #options: ServerLinkOptions
  readonly #deps: ServerLinkDeps
  readonly #stopping = new AbortController()
  readonly #sessions = new Map<ServerSession, string>()
  #loop: Promise<void> | undefined
  #wake: () => void = () => undefined
  #connecting = false
  #failures = 0
  #notBefore = 0
  #duplicates = 0
  #lastError: string | undefined
  #disconnects = 0
  #bytes: readonly [number, number] = [0, 0]

  constructor(options: ServerLinkOptions, deps: ServerLinkDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** Begins to connect, in the background. */
  start(): void {
    this.#loop ??= this.#run()
  }

  /**
   * Asks the servers for no more dials, serves what is open for at most `drainMs`, then disconnects. `now` ends the wait.
   */
  async stop(drainMs: number, now?: AbortSignal): Promise<DrainResult> {
    this.#stopping.abort(new Error('the agent stops'))
    await this.#loop
    const sessions = [...this.#sessions.keys()]
    const closeAll = (): void => sessions.forEach((session) => session.close())
    now?.addEventListener('abort', closeAll, { once: true })
    try {
      if (drainMs <= 0 || now?.aborted === true) return { idle: 0, cut: this.openConnections }
      const results = await Promise.all(sessions.map((session) => session.drain(drainMs)))
      return addUp(results)
    } finally {
      now?.removeEventListener('abort', closeAll)
      closeAll()
      await Promise.all(sessions.map((session) => session.ended))
    }
  }

  /** Connections to endpoints open now. */
  get openConnections(): number {
    return [...this.#sessions.keys()].reduce((sum, session) => sum + session.openConnections, 0)
  }

  /** There is a connection that takes dials. */
  get connected(): boolean {
    return [...this.#sessions.keys()].some(({ retiring }) => !retiring)
  }

  /** One entry for each connection; one that says why for an address without any. */
  status(): readonly ServerLinkStatus[] {
    const sessions = [...this.#sessions]
    if (sessions.length === 0) return [this.#statusOf(undefined, '')]
    return sessions.map(([session, serverId]) => this.#statusOf(session, serverId))
  }

  #statusOf(session: ServerSession | undefined, serverId: string): ServerLinkStatus {
    const [to, from] = session?.openBytes ?? [0, 0]
    // Finished connections are counted for the address, and shown once.
    const first = session === undefined || session === this.#sessions.keys().next().value
    return {
      server: serverName(this.#options.address),
      state: this.#stateOf(session),
      serverId: session && serverId,
      connectedSince: session?.since.toISOString(),
      flow: session?.flow,
      rttMs: session?.rttMs,
      openConnections: session?.openConnections ?? 0,
      bytesToEndpoints: to + (first ? this.#bytes[0] : 0),
      bytesFromEndpoints: from + (first ? this.#bytes[1] : 0),
      disconnects: this.#disconnects,
      lastError: this.#lastError,
    }
  }

  #stateOf(session: ServerSession | undefined): ServerLinkStatus['state'] {
    if (session !== undefined) return session.retiring ? 'draining' : 'connected'
    if (this.#stopping.signal.aborted) return 'stopped'
    return this.#connecting ? 'connecting' : 'waiting'
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    const stopped = (): boolean => signal.aborted
    const wake = (): void => this.#wake()
    const unsubscribe = this.#deps.known.onChange(wake)
    signal.addEventListener('abort', wake, { once: true })
    try {
      while (!stopped()) {
        const waitMs = this.#nextInMs()
        if (waitMs === 0) this.#notBefore = performance.now() + (await this.#connectOnce(signal))
        else await this.#change(waitMs)
      }
    } finally {
      unsubscribe()
      signal.removeEventListener('abort', wake)
    }
  }

  /** When to connect, milliseconds from now; undefined: not before something changes. */
  #nextInMs(): number | undefined {
    return this.#wanted() ? Math.max(0, Math.ceil(this.#notBefore - performance.now())) : undefined
  }

  #wanted(): boolean {
    if (!this.connected || this.#options.discovery.syncForever) return true
    const { known, unconnectedAddresses } = this.#deps
    return known.wanted - known.connected > unconnectedAddresses()
  }

  /** Waits for a change, or the time. */
  async #change(timeoutMs: number | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const done = (): void => resolve(undefined)
    this.#wake = done
    const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs)
    await promise
    clearTimeout(timer)
    this.#wake = () => undefined
  }

  /** Tries once, and says how long the next try has to wait. */
  async #connectOnce(signal: AbortSignal): Promise<number> {
    this.#connecting = true
    try {
      const isNew = await this.#connect(signal)
      this.#lastError = undefined
      this.#duplicates = isNew ? 0 : this.#duplicates + 1
      if (isNew && !this.#options.discovery.syncForever) return 0
      return this.#syncMs(Math.max(0, this.#duplicates - PATIENT_DUPLICATES))
    } catch (error) {
      if (!signal.aborted) this.#onFailure(error)
      this.#failures += 1
      return this.connected ? this.#syncMs(this.#failures) : backoffMs(this.#failures - 1, RECONNECT)
    } finally {
      this.#connecting = false
    }
  }

  #syncMs(attempt: number): number {
    const { syncIntervalMs, syncIntervalCapMs } = this.#options.discovery
    return backoffMs(attempt, { initialMs: syncIntervalMs, maxMs: syncIntervalCapMs, ...SYNC })
  }

  /** Opens one connection. False: it led to a server that is connected already, and was closed. @throws why not */
  async #connect(signal: AbortSignal): Promise<boolean> {
    const { address, endpointDialTimeoutMs, dialsPerConnection, keepaliveMs } = this.#options
    const { metrics, buffers, log, known, credentials } = this.#deps
    const session = await ServerSession.open(
      {
        address,
        endpointDialTimeoutMs,
        dialsPerConnection,
        ...(keepaliveMs !== undefined && { keepaliveMs }),
        ...(await credentials()),
      },
      {
        metrics,
        buffers,
        log,
        onBytes: (to, from) => (this.#bytes = [this.#bytes[0] + to, this.#bytes[1] + from]),
        onRetiring: () => this.#onRetiring(serverId),
      },
      signal,
    )
    // A server without a name is told from others by its address.
    const serverId = session.announcedId === '' ? serverName(address) : session.announcedId
    const connection = {
      serverId,
      get retiring() {
        return session.retiring
      },
    }
    if (!known.add(connection, session.serverCount)) {
      log.debug('another connection leads to this server already', { serverId })
      session.close()
      await session.ended
      return false
    }
    this.#sessions.set(session, serverId)
    log.info('connected to tunnel server', { serverId, flow: session.flow })
    void session.ended.then((error) => {
      this.#sessions.delete(session)
      this.#onEnd(session, error)
      known.remove(connection)
    })
    return true
  }

  #onRetiring(serverId: string): void {
    this.#deps.log.info('connection to be replaced by another one', { serverId })
    this.#failures = 0
    this.#notBefore = 0
    this.#deps.known.changed()
  }

  #onEnd(session: ServerSession, error: Error | undefined): void {
    if (this.#stopping.signal.aborted || session.retiring) return
    this.#failures = Date.now() - session.since.getTime() > STABLE_MS ? 0 : this.#failures + 1
    this.#notBefore = performance.now() + backoffMs(this.#failures, RECONNECT)
    this.#disconnects += 1
    this.#onFailure(error ?? new Error('the server closed the tunnel'))
  }

  #onFailure(error: unknown): void {
    const message = errorMessage(error)
    // One line for each new reason: a server that is away for an hour is not worth two thousand.
    if (message === this.#lastError) this.#deps.log.debug('tunnel server not reached', { err: error })
    else this.#deps.log.warn('tunnel server not reached, trying again', { err: error })
    this.#lastError = message
    this.#deps.metrics.serverFailures.add({ direction: 'from_server' })
  }
}

/** How a server is named in logs and status. */
export function serverName({ host, port }: ServerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
