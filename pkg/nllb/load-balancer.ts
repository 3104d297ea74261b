import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { Backend, backendName } from '#pkg/nllb/backend.ts'
import type { BackendStatus } from '#pkg/nllb/backend.ts'
import { candidates } from '#pkg/nllb/candidates.ts'
import { findingOf, type Finding, type HealthProbe } from '#pkg/nllb/health.ts'
import { HealthWatch } from '#pkg/nllb/health-watch.ts'
import { Mover } from '#pkg/nllb/mover.ts'
import type { BackendAddress } from '#pkg/nllb/open-socket.ts'
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

/** Collaborators of a load balancer. */
export interface LoadBalancerDeps {
  readonly log: Logger
  /** What asks a backend for its health; it calls `onLost` when the backend is worth asking at once. */
  readonly probe: (address: BackendAddress, events: { readonly onLost: () => void }) => HealthProbe
}

/** State of the load balancer at one moment. */
export interface LoadBalancerStatus {
  readonly listen: string
  readonly backends: readonly BackendStatus[]
}

/**
 * TCP connections to one address go to one of several backends: to one that is ready, by turns; while none is, to any that takes
 * them. Only a probe makes a backend ready; a connection that cannot be made is enough to choose others before it. Clients of a
 * backend that is not ready are moved (`Mover`).
 */
export class LoadBalancer {
  readonly #options: LoadBalancerOptions
  readonly #deps: LoadBalancerDeps
  readonly #server: Server
  readonly #clients = new Set<Socket>()
  readonly #relays = new Set<Relay>()
  readonly #stopping = new AbortController()
  readonly #watches = new Map<Backend, HealthWatch>()
  readonly #mover = new Mover()
  #backends: readonly Backend[]
  #turn = 0

  constructor(options: LoadBalancerOptions, deps: LoadBalancerDeps) {
    this.#options = options
    this.#deps = deps
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
    this.#watchBackends()
  }

  /** Closes the listener and every connection. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the load balancer stops'))
    const closed = this.#server.listening
      ? new Promise<void>((resolve) => this.#server.close(() => resolve()))
      : Promise.resolve()
    for (const relay of this.#relays) relay.destroy()
    for (const client of this.#clients) client.destroy()
    await Promise.all([closed, ...this.#watches.values().map((watch) => watch.stop())])
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
    if (this.#server.listening) this.#watchBackends()
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
    for (const backend of candidates(this.#backends, this.#turn++)) {
      const triedAt = performance.now()
      const socket = await backend.connect(this.#stopping.signal).catch((error: unknown) => {
        if (!this.#stopping.signal.aborted) this.#note(backend, findingOf(error), triedAt)
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
    this.#relays.add(relay)
    backend.connections.add(relay)
  }

  /** Watches the backends that there are now, and no others. */
  #watchBackends(): void {
    for (const [backend, watch] of this.#watches) {
      if (this.#backends.includes(backend)) continue
      this.#watches.delete(backend)
      void watch.stop()
    }
    for (const backend of this.#backends) {
      if (this.#watches.has(backend)) continue
      const probe = this.#deps.probe(backend.address, { onLost: () => watch.hurry() })
      const watch = new HealthWatch(probe, (finding, askedAt) => this.#note(backend, finding, askedAt))
      this.#watches.set(backend, watch)
      watch.start()
    }
  }

  #note(backend: Backend, finding: Finding, askedAt: number): void {
    const before = backend.health
    backend.note(finding, askedAt)
    if (before !== finding.health) logChange(this.#deps.log, backend, finding)
    // Whether the others still serve, or serve again, too, is worth knowing at once; and so is a second opinion of this one.
    if ((before === 'ready') !== (finding.health === 'ready')) for (const watch of this.#watches.values()) watch.hurry()
    this.#mover.move(this.#backends)
  }
}

function logChange(log: Logger, { name: backend }: Backend, finding: Finding): void {
  switch (finding.health) {
    case 'new':
      return
    case 'ready':
      log.info('backend is ready', { backend })
      return
    case 'unready':
      log.warn('backend is not ready', { backend, reason: finding.reason })
      return
    case 'closed':
    case 'silent':
      log.warn('backend does not answer', { backend, reason: finding.reason })
  }
}
