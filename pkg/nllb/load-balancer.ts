import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { Backend, backendName } from '#pkg/nllb/backend.ts'
import type { BackendAddress, BackendStatus } from '#pkg/nllb/backend.ts'
import { Relay } from '#pkg/nllb/relay.ts'

/** The loopback port of the load balancer cannot be opened. */
export class LoadBalancerListenError extends K0sError {
  override readonly code = 'ERR_NLLB_LISTEN'
}

/** Plain data of a load balancer. */
export interface LoadBalancerOptions {
  /** Loopback address. */
  readonly listenHost: string
  /** 0 takes a free port, see `port`. */
  readonly listenPort: number
  /** Backends to begin with; `setBackends` replaces them. */
  readonly backends?: readonly BackendAddress[]
}

/** State of the load balancer at one moment. */
export interface LoadBalancerStatus {
  readonly listen: string
  readonly backends: readonly BackendStatus[]
}

/** Dead backends are tried, and suspects looked for, this often; nothing happens while all are healthy and answer. */
const WATCH_INTERVAL_MS = 500

/**
 * Node-local load balancer: TCP connections to one loopback address go to one of several backends. Health is the outcome
 * of connects; a probe is made only of a backend that failed, or that leaves a client's bytes without answer for a
 * second. A dead backend's connections are cut, if there is another, so that clients move within 3 s.
 */
export class LoadBalancer {
  readonly #options: LoadBalancerOptions
  readonly #log: Logger
  readonly #server: Server
  readonly #clients = new Set<Socket>()
  readonly #relays = new Map<Relay, Backend>()
  readonly #probing = new Set<Backend>()
  readonly #stopping = new AbortController()
  #backends: readonly Backend[]
  #next = 0
  #watch: NodeJS.Timeout | undefined

  constructor(options: LoadBalancerOptions, deps: { readonly log: Logger }) {
    this.#options = options
    this.#log = deps.log
    this.#backends = (options.backends ?? []).map((address) => new Backend(address))
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) => {
      void this.#serve(client)
    })
  }

  /** Listens. @throws LoadBalancerListenError */
  async start(): Promise<void> {
    const { listenHost, listenPort } = this.#options
    await new Promise<void>((resolve, reject) => {
      // Stays: accept() can fail later (no file descriptors left), which costs that connection and not the process.
      this.#server.on('error', (cause) => {
        const reason = `${errorMessage(cause)}; stop the program that holds the port`
        const where = backendName({ host: listenHost, port: listenPort })
        reject(
          new LoadBalancerListenError(`cannot listen on ${where} (node-local load balancer): ${reason}`, { cause }),
        )
      })
      this.#server.listen({ host: listenHost, port: listenPort, backlog: 512 }, resolve)
    })
    this.#watch = setInterval(() => this.#lookAfterBackends(), WATCH_INTERVAL_MS)
  }

  /** Closes the listener and every connection. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the load balancer stops'))
    clearInterval(this.#watch)
    const closed = this.#server.listening
      ? new Promise<void>((resolve) => this.#server.close(() => resolve()))
      : Promise.resolve()
    for (const relay of this.#relays.keys()) relay.destroy()
    for (const client of this.#clients) client.destroy()
    await closed
  }

  /** Port that is listened on. */
  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? this.#options.listenPort
  }

  /** Replaces the backends: new ones are used from the next connection on, those to removed ones are closed. */
  setBackends(addresses: readonly BackendAddress[]): void {
    const known = new Map(this.#backends.map((backend) => [backend.name, backend]))
    const wanted = new Map(addresses.map((address) => [backendName(address), address]))
    this.#backends = [...wanted].map(([name, address]) => known.get(name) ?? new Backend(address))
    for (const [name, backend] of known) if (!wanted.has(name)) backend.closeConnections()
  }

  status(): LoadBalancerStatus {
    return {
      listen: backendName({ host: this.#options.listenHost, port: this.port }),
      backends: this.#backends.map((backend) => backend.status()),
    }
  }

  async #serve(client: Socket): Promise<void> {
    this.#clients.add(client)
    client.on('error', () => undefined)
    client.once('close', () => this.#clients.delete(client))
    for (const backend of this.#candidates()) {
      const wasHealthy = backend.healthy
      const socket = await backend.connect(this.#stopping.signal).catch((error: unknown) => {
        if (wasHealthy && !backend.healthy) this.#onDead(backend, errorMessage(error))
      })
      if (socket === undefined) continue
      this.#join(client, socket, backend)
      return
    }
    // A reset, not an empty answer: clients take it for what it is and try again.
    client.resetAndDestroy()
  }

  #join(client: Socket, socket: Socket, backend: Backend): void {
    if (client.destroyed || this.#stopping.signal.aborted || !this.#backends.includes(backend)) {
      socket.destroy()
      client.destroy()
      return
    }
    const relay = new Relay(client, socket, () => {
      this.#relays.delete(relay)
      backend.connections.delete(relay)
    })
    this.#relays.set(relay, backend)
    backend.connections.add(relay)
  }

  /** Healthy ones in turn, then, as a last resort, those taken for dead. */
  #candidates(): readonly Backend[] {
    this.#next += 1
    const healthy = this.#backends.filter((backend) => backend.healthy)
    const turn = healthy.length === 0 ? 0 : this.#next % healthy.length
    return [...healthy.slice(turn), ...healthy.slice(0, turn), ...this.#backends.filter((b) => !b.healthy)]
  }

  #lookAfterBackends(): void {
    for (const backend of this.#backends) if (!backend.healthy) void this.#probe(backend)
    const now = performance.now()
    for (const [relay, backend] of this.#relays) {
      if (backend.healthy && relay.unanswered(now)) void this.#probe(backend)
    }
  }

  async #probe(backend: Backend): Promise<void> {
    if (this.#probing.has(backend)) return
    this.#probing.add(backend)
    const wasHealthy = backend.healthy
    try {
      const socket = await backend.connect(this.#stopping.signal)
      socket.destroy()
      if (!wasHealthy) this.#log.info('backend answers again', { backend: backend.name })
      for (const [relay, of] of this.#relays) if (of === backend) relay.forgive()
    } catch (error) {
      if (wasHealthy && !this.#stopping.signal.aborted) this.#onDead(backend, errorMessage(error))
    } finally {
      this.#probing.delete(backend)
    }
  }

  /** Cutting connections only helps when there is somewhere else to go. */
  #onDead(backend: Backend, reason: string): void {
    this.#log.warn('backend does not answer', { backend: backend.name, reason })
    if (this.#backends.some(({ healthy }) => healthy)) backend.closeConnections()
  }
}
