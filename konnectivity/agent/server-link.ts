import { errorMessage } from '#pkg/errors/error.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { AgentConnections } from '#konnectivity/agent/connections.ts'
import type { AgentMetrics } from '#konnectivity/agent/metrics.ts'
import type { AgentTls, ServerAddress, ServerLinkStatus } from '#konnectivity/agent/options.ts'
import { openSession } from '#konnectivity/agent/session.ts'
import type { AgentHello, AgentSession } from '#konnectivity/agent/session.ts'
import { Keepalive, keepalive } from '#konnectivity/tunnel/keepalive.ts'
import type { ReadGuard } from '#konnectivity/tunnel/read-guard.ts'
import { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'

/** Plain data of a link. */
export interface ServerLinkOptions {
  readonly address: ServerAddress
  readonly endpointDialTimeoutMs: number
}

/** Collaborators of a link. */
export interface ServerLinkDeps {
  /** Read at each connect, so that a renewed certificate or token is used from the next connection on. */
  readonly credentials: () => Promise<{ readonly tls: AgentTls; readonly hello: AgentHello }>
  readonly metrics: AgentMetrics
  readonly readGuard: ReadGuard
  readonly log: Logger
}

const CONNECT_TIMEOUT_MS = 10_000
/** A server that comes back is found within two seconds, however long it was away. */
const RECONNECT = { initialMs: 100, maxMs: 1_800, factor: 1.7, jitter: 0.4 }
/** A connection that lived this long was a good one: the next delay is short again. */
const STABLE_MS = 5_000

/** Everything that lives as long as one connection to the server. */
interface Live {
  readonly session: AgentSession
  readonly control: PacketStream
  readonly connections: AgentConnections
  readonly keepalive: Keepalive
  readonly since: Date
  /** Resolves with what ended the control stream. */
  readonly ended: Promise<Error | undefined>
}

/** Keeps one connection to one server for as long as it is wanted. Only `#run` moves it from state to state. */
export class ServerLink {
  readonly #options: ServerLinkOptions
  readonly #deps: ServerLinkDeps
  readonly #stopping = new AbortController()
  #loop: Promise<void> | undefined
  #live: Live | undefined
  #state: ServerLinkStatus['state'] = 'waiting'
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

  /** Asks the server for no more dials, serves what is open for at most `drainMs`, then disconnects. */
  async stop(drainMs: number): Promise<void> {
    if (drainMs > 0 && this.#live !== undefined) {
      this.#state = 'draining'
      this.#live.control.send({ type: 'drain' })
      await this.#live.connections.drain(drainMs)
    }
    this.#stopping.abort(new Error('the agent stops'))
    await this.#loop
    this.#state = 'stopped'
  }

  /** Connections to endpoints open now. */
  get openConnections(): number {
    return this.#live?.connections.size ?? 0
  }

  /** The state at this moment. */
  status(): ServerLinkStatus {
    const live = this.#live
    const [to, from] = live?.connections.openBytes ?? [0, 0]
    return {
      server: serverName(this.#options.address),
      state: this.#state,
      serverId: live?.session.serverId,
      connectedSince: live?.since.toISOString(),
      flow: live?.session.flow,
      rttMs: live?.keepalive.rttMs,
      openConnections: this.openConnections,
      bytesToEndpoints: this.#bytes[0] + to,
      bytesFromEndpoints: this.#bytes[1] + from,
      disconnects: this.#disconnects,
      lastError: this.#lastError,
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    const stopped = (): boolean => signal.aborted
    for (let failures = 0; !stopped(); failures += 1) {
      const startedAt = performance.now()
      try {
        this.#state = 'connecting'
        await this.#serve(signal)
      } catch (error) {
        if (stopped()) return
        this.#onFailure(error)
      }
      if (stopped()) return
      if (performance.now() - startedAt > STABLE_MS) failures = 0
      this.#state = 'waiting'
      await sleep(backoffMs(failures, RECONNECT), { signal }).catch(() => undefined)
    }
  }

  /** One connection from its beginning to its end. @throws why it could not be opened or was lost */
  async #serve(signal: AbortSignal): Promise<void> {
    const live = await this.#connect(signal)
    this.#live = live
    this.#state = 'connected'
    const { serverId, flow } = live.session
    this.#deps.log.info('connected to tunnel server', { serverId, flow })
    this.#lastError = undefined
    const onStop = (): void => live.session.session.destroy()
    signal.addEventListener('abort', onStop, { once: true })
    try {
      const error = await live.ended
      throw error ?? new Error('the server closed the tunnel')
    } finally {
      signal.removeEventListener('abort', onStop)
      this.#live = undefined
      this.#disconnects += 1
      live.connections.close()
      live.keepalive.stop()
      live.session.session.destroy()
    }
  }

  async #connect(signal: AbortSignal): Promise<Live> {
    const { tls, hello } = await this.#deps.credentials()
    const session = await withDeadline(signal, CONNECT_TIMEOUT_MS, (inner) =>
      openSession(this.#options.address, tls, hello, inner),
    )
    this.#deps.readGuard.watch(session.session)
    let onEnd: (error: Error | undefined) => void = () => undefined
    const ended = new Promise<Error | undefined>((resolve) => (onEnd = resolve))
    const control = new PacketStream(session.control, {
      onPacket: (packet) => connections.onPacket(packet),
      onClose: (error) => onEnd(error),
    })
    const connections = new AgentConnections(
      { flow: session.flow, endpointDialTimeoutMs: this.#options.endpointDialTimeoutMs },
      {
        session: session.session,
        control,
        metrics: this.#deps.metrics,
        log: this.#deps.log,
        onBytes: (to, from) => (this.#bytes = [this.#bytes[0] + to, this.#bytes[1] + from]),
      },
    )
    const pings = session.flow === 'streams' ? keepalive.own : keepalive.upstream
    return { session, control, connections, keepalive: new Keepalive(session.session, pings), since: new Date(), ended }
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
