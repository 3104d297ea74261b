import type { SpliceCounters } from '#konnectivity/tunnel/splice.ts'

/** What one agent carries: its open connections, and the bytes of these and of those before, as the endpoint sees them. */
export class Traffic {
  readonly #open = new Set<Readonly<SpliceCounters>>()
  #toEndpoints = 0
  #fromEndpoints = 0

  /** A connection opened. */
  add(counters: Readonly<SpliceCounters>): void {
    this.#open.add(counters)
  }

  /** It ended. */
  remove(counters: Readonly<SpliceCounters>): void {
    if (!this.#open.delete(counters)) return
    this.#toEndpoints += counters.forward
    this.#fromEndpoints += counters.backward
  }

  /** Connections open now. */
  get openConnections(): number {
    return this.#open.size
  }

  /** Payload bytes since the agent connected. */
  get bytesToEndpoints(): number {
    return this.#toEndpoints + this.#sum('forward')
  }

  /** Payload bytes since the agent connected. */
  get bytesFromEndpoints(): number {
    return this.#fromEndpoints + this.#sum('backward')
  }

  #sum(direction: 'forward' | 'backward'): number {
    let sum = 0
    for (const counters of this.#open) sum += counters[direction]
    return sum
  }
}
