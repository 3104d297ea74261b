import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { drainConnections } from '#konnectivity/tunnel/drain.ts'
import type { DrainOptions, DrainResult } from '#konnectivity/tunnel/drain.ts'
import { LINGER_MS, Splice } from '#konnectivity/tunnel/splice.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'
import type { Traffic } from '#konnectivity/server/traffic.ts'

/** The connections that are open end to end, so that a stop can wait for them and a gauge count them. */
export class OpenConnections {
  readonly #splices = new Set<Splice>()
  readonly #metrics: ServerMetrics

  constructor(deps: { readonly metrics: ServerMetrics }) {
    this.#metrics = deps.metrics
  }

  /** Connections open now. */
  get size(): number {
    return this.#splices.size
  }

  /** Ends that are not read now because the other end of their connection does not take what they sent. */
  get blocked(): { readonly frontends: number; readonly agents: number } {
    let [frontends, agents] = [0, 0]
    for (const { blocked } of this.#splices) {
      if (blocked.front) frontends += 1
      if (blocked.back) agents += 1
    }
    return { frontends, agents }
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
    })
  }

  /** Lets connections end, see `drainConnections`; `pending` are dials that run. */
  drain(options: DrainOptions, pending: () => number, signal: AbortSignal): Promise<DrainResult> {
    return drainConnections(options, { splices: this.#splices, pending, signal })
  }

  /** Cuts everything that is open. */
  destroy(): void {
    for (const splice of this.#splices) splice.destroy(new Error('tunnel server stopped'))
  }
}
