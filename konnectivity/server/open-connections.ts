import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { LINGER_MS, Splice } from '#konnectivity/tunnel/splice.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'
import type { Traffic } from '#konnectivity/server/traffic.ts'

/** The connections that are open end to end, so that a stop can wait for them and a gauge count them. */
export class OpenConnections {
  readonly #splices = new Set<Splice>()
  readonly #metrics: ServerMetrics
  readonly #idle: (() => void)[] = []

  constructor(deps: { readonly metrics: ServerMetrics }) {
    this.#metrics = deps.metrics
  }

  /** Connections open now. */
  get size(): number {
    return this.#splices.size
  }

  /** Joins a frontend and its backend connection until both are closed. */
  add(front: Duplex, back: Duplex, options: { readonly holdBackMs: number; readonly traffic: Traffic }): void {
    const startedAt = performance.now()
    const splice = new Splice(front, back, { lingerMs: LINGER_MS, holdBackMs: options.holdBackMs })
    this.#splices.add(splice)
    options.traffic.add(splice.counters)
    void splice.closed.then(() => {
      this.#splices.delete(splice)
      options.traffic.remove(splice.counters)
      this.#metrics.connectionDuration.observe((performance.now() - startedAt) / 1000)
      this.#metrics.forwardedBytes.add({ direction: 'to_endpoint' }, splice.counters.forward)
      this.#metrics.forwardedBytes.add({ direction: 'from_endpoint' }, splice.counters.backward)
      if (this.#splices.size === 0) this.#idle.splice(0).forEach((resolve) => resolve())
    })
  }

  /** Resolves once nothing is open, at the latest after `timeoutMs`. */
  async whenIdle(timeoutMs: number): Promise<void> {
    if (this.size === 0 || timeoutMs <= 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#idle.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** Cuts everything that is open. */
  destroy(): void {
    for (const splice of this.#splices) splice.destroy(new Error('tunnel server stopped'))
  }
}
