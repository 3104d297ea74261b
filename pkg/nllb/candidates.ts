import type { Backend } from '#pkg/nllb/backend.ts'
import type { Health } from '#pkg/nllb/health.ts'

/** Which backends are tried first; the others are a last resort: a request that waits is better than one that is refused. */
const ranks: Readonly<Record<Health, number>> = { ready: 0, new: 1, unready: 1, closed: 2, silent: 2 }

/** In which order a connection is offered to the backends: by rank, within a rank by turns. Pure. */
export function candidates(backends: readonly Backend[], turn: number): readonly Backend[] {
  return [0, 1, 2].flatMap((rank) => {
    const equals = backends.filter(({ health }) => ranks[health] === rank)
    const first = equals.length === 0 ? 0 : turn % equals.length
    return [...equals.slice(first), ...equals.slice(0, first)]
  })
}
