import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Splice } from '#konnectivity/tunnel/splice.ts'

/** How connections ended in a drain. */
export interface DrainResult {
  /** Closed because nothing moved on them; clients take that for the end of an idle connection. */
  readonly idle: number
  /** Cut in use when the time was over. */
  readonly cut: number
}

/** Plain data of a drain. */
export interface DrainOptions {
  /** After this everything is cut. */
  readonly timeoutMs: number
}

/** Without a byte for this long a connection is closed; a client then opens its next one elsewhere. */
export const DRAIN_IDLE_MS = 1_000
/** How much later than DRAIN_IDLE_MS an idle connection may be noticed. */
const POLL_MS = 50

/**
 * Lets connections end: closes those that fall silent, waits for the others, cuts what is left in the end. `pending` are
 * dials that will become connections yet.
 */
export async function drainConnections(
  { timeoutMs }: DrainOptions,
  { splices, pending, signal }: DrainDeps,
): Promise<DrainResult> {
  const until = performance.now() + timeoutMs
  const closed = new Set<Splice>()
  while (splices.size + pending() > 0 && performance.now() < until && !signal.aborted) {
    const silentSince = performance.now() - DRAIN_IDLE_MS
    for (const splice of splices) {
      if (splice.counters.lastActiveAt >= silentSince || splice.undeliveredBytes > 0 || closed.has(splice)) continue
      closed.add(splice)
      splice.destroy()
    }
    await sleep(POLL_MS, { signal }).catch(() => undefined)
  }
  const left = [...splices].filter((splice) => !closed.has(splice))
  for (const splice of left) splice.destroy(new Error('cut by the end of a drain'))
  return { idle: closed.size, cut: left.length }
}

interface DrainDeps {
  /** The connections, live. */
  readonly splices: ReadonlySet<Splice>
  /** Dials that still run. */
  readonly pending: () => number
  /** Ends the drain early. */
  readonly signal: AbortSignal
}

/** Sum of several drains. */
export function addUp(results: readonly DrainResult[]): DrainResult {
  return results.reduce((sum, { idle, cut }) => ({ idle: sum.idle + idle, cut: sum.cut + cut }), { idle: 0, cut: 0 })
}
