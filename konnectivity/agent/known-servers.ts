/** One connection, as far as telling servers apart goes. */
export interface ServerConnection {
  /** From the server's headers. */
  readonly serverId: string
  /** Being replaced or drained: a new connection to the same server is no duplicate of it. */
  readonly retiring: boolean
}

/** How many servers there are, and who says so: upstream's --server-count-source. */
export interface ServerCountOptions {
  /** With leases: `default` is their count alone, `max` the larger one of theirs and the servers' own. */
  readonly source?: 'default' | 'max'
  /** Servers by their leases; undefined while unknown. */
  readonly fromLeases?: () => number | undefined
}

/** A server that claims more than this many is not believed. */
const MAX_SERVERS = 1_000

/**
 * The servers an agent is connected to, over all its addresses: behind one address (a load balancer) may be several, behind
 * several the same one. INVARIANT: at most one connection to a server that is not retiring, the oldest.
 */
export class KnownServers {
  readonly #options: ServerCountOptions
  readonly #connections = new Set<ServerConnection>()
  readonly #listeners = new Set<() => void>()
  #announced = 0

  constructor(options: ServerCountOptions = {}) {
    this.#options = options
  }

  /** Keeps a connection, unless there is one to that server already. `serverCount` is what the server announced. */
  add(connection: ServerConnection, serverCount: number): boolean {
    if (this.has(connection.serverId)) return false
    this.#connections.add(connection)
    if (Number.isSafeInteger(serverCount)) this.#announced = Math.min(Math.max(serverCount, 0), MAX_SERVERS)
    this.changed()
    return true
  }

  /** The connection is over. */
  remove(connection: ServerConnection): void {
    if (this.#connections.delete(connection)) this.changed()
  }

  /** There is a connection to that server which is not retiring. */
  has(serverId: string): boolean {
    return [...this.#connections].some((connection) => connection.serverId === serverId && !connection.retiring)
  }

  /** Distinct servers connected to. */
  get connected(): number {
    return new Set([...this.#connections].filter(({ retiring }) => !retiring).map(({ serverId }) => serverId)).size
  }

  /** Servers to be connected to; at least 1. */
  get wanted(): number {
    const leases = this.#options.fromLeases?.()
    if (leases === undefined) return Math.max(this.#announced, 1)
    return Math.max(leases, this.#options.source === 'max' ? this.#announced : 0, 1)
  }

  /** Calls `listener` after each change until the result is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** A connection began to retire, or the number of leases changed. */
  changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
