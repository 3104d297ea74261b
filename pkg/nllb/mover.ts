import type { Backend } from '#pkg/nllb/backend.ts'

/** Who does not go by itself from a backend that is not ready is sent away after this. */
export const GRACE_MS = 5_000

/** A connection of the health probe's own has confirmed then what the first one found. */
const CONFIRMED_SILENCES = 2

/**
 * Ends connections to backends that are not ready, so that their clients come back and get one that is. INVARIANT: only while
 * another backend said that it is ready after this one was found not to be (`isBetterThan`): what ails all of them, as an election of etcd's leader
 * or a lost network does, moves nobody.
 */
export class Mover {
  /** Since when clients of a backend that is not ready have somewhere else to go. */
  readonly #elsewhereSince = new WeakMap<Backend, number>()

  /** Looks at all backends; called after each finding. */
  move(backends: readonly Backend[], now: number = performance.now()): void {
    for (const backend of backends) {
      const isIll = backend.health !== 'ready' && backend.health !== 'new'
      if (!isIll || !backends.some((other) => other.isBetterThan(backend))) {
        this.#elsewhereSince.delete(backend)
        continue
      }
      const since = this.#elsewhereSince.get(backend) ?? now
      this.#elsewhereSince.set(backend, since)
      const isOver = backend.silences >= CONFIRMED_SILENCES || now - since >= GRACE_MS
      if (isOver) backend.closeConnections()
      else if (backend.health !== 'closed') endUnanswered(backend, now)
    }
  }
}

/** A server that closed its port may still finish what it was asked; from one that does not serve nothing is to be expected. */
function endUnanswered({ connections }: Backend, now: number): void {
  for (const connection of connections) if (connection.unanswered(now)) connection.destroy()
}
