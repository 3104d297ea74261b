import type { Backend } from '#konnectivity/server/backend.ts'
import { hostOf, normalizeHost } from '#konnectivity/server/identity.ts'

/** How an agent is chosen for a destination, in upstream's spelling. */
export type ProxyStrategy = 'destHost' | 'defaultRoute' | 'default'

/** The connected agents, and which of them serves a destination. */
export class BackendManager {
  readonly #strategies: readonly ProxyStrategy[]
  readonly #backends = new Set<Backend>()
  readonly #listeners = new Set<() => void>()
  readonly #byHost = new Map<string, Set<Backend>>()

  constructor(options: { readonly strategies: readonly ProxyStrategy[] }) {
    this.#strategies = options.strategies
  }

  /** Calls `listener` for each agent that connects, until the result is called. */
  onAdd(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when an agent connects; rejects with the reason of `signal`. */
  nextAdded(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        unsubscribe()
        signal.removeEventListener('abort', end)
        if (signal.aborted) reject(signal.reason as Error)
        else resolve()
      }
      const unsubscribe = this.onAdd(end)
      signal.addEventListener('abort', end, { once: true })
    })
  }

  /** An agent connected. */
  add(backend: Backend): void {
    this.#backends.add(backend)
    for (const host of backend.identity.hosts) {
      const backends = this.#byHost.get(host) ?? new Set()
      this.#byHost.set(host, backends.add(backend))
    }
    for (const listener of [...this.#listeners]) listener()
  }

  /** An agent is gone. */
  remove(backend: Backend): void {
    this.#backends.delete(backend)
    for (const host of backend.identity.hosts) {
      const backends = this.#byHost.get(host)
      backends?.delete(backend)
      if (backends?.size === 0) this.#byHost.delete(host)
    }
  }

  /** Connected agents, the longest connected first. */
  list(): readonly Backend[] {
    return [...this.#backends]
  }

  /**
   * The agent for `address` (host:port) by the first strategy that has one, none of `exclude`. One that is draining is
   * taken only when every strategy has nothing else.
   */
  pick(address: string, exclude: ReadonlySet<Backend> = new Set()): Backend | undefined {
    const host = hostOf(address)
    const usable = (backend: Backend): boolean => !backend.closed && !exclude.has(backend)
    for (const draining of [false, true]) {
      for (const strategy of this.#strategies) {
        const found = this.#candidates(strategy, host).filter((b) => usable(b) && b.draining === draining)
        const chosen = strategy === 'destHost' ? ownerOf(host, found) : found[Math.floor(Math.random() * found.length)]
        if (chosen !== undefined) return chosen
      }
    }
    return undefined
  }

  /** Agents that each strategy could use, for metrics. */
  counts(): readonly (readonly [ProxyStrategy, number])[] {
    return this.#strategies.map((strategy) => [
      strategy,
      strategy === 'destHost'
        ? new Set([...this.#byHost.values()].flatMap((backends) => [...backends])).size
        : this.#candidates(strategy, '').length,
    ])
  }

  #candidates(strategy: ProxyStrategy, host: string): readonly Backend[] {
    switch (strategy) {
      case 'destHost':
        return [...(this.#byHost.get(host) ?? [])]
      case 'defaultRoute':
        return this.list().filter((backend) => backend.identity.defaultRoute)
      case 'default':
        return this.list()
    }
  }
}

/**
 * Agents name the addresses of their node themselves: one that connects from the address has the better claim to it than
 * one that only says so, and of those the one that said so first, so that a newcomer cannot take an address away. Of several
 * sessions of one node the newest is the one least likely to be dead.
 */
function ownerOf(host: string, claimants: readonly Backend[]): Backend | undefined {
  const proven = claimants.findLast(({ remoteAddress }) => normalizeHost(remoteAddress) === host)
  const first = claimants[0]
  return proven ?? claimants.findLast((claimant) => first !== undefined && nameOf(claimant) === nameOf(first))
}

function nameOf({ identity }: Backend): string {
  return identity.nodeName ?? identity.agentId
}
