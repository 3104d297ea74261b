import type { Revision } from '#pkg/kine/backend.ts'

/**
 * Time after which a read is on its own: a client that stops in the middle of a long list would otherwise keep everything
 * from being compacted, for as long as its connection lasts. Its call ends with "compacted" when it comes to a row that
 * is gone.
 */
const MAX_HOLD_MS = 10 * 60_000

interface Hold {
  readonly revision: Revision
  readonly since: number
}

/** Revisions that reads in progress need: compaction deletes nothing that one of them may still ask for. */
export class Pins {
  readonly #holds = new Set<Hold>()
  readonly #monotonic: () => number

  /** `monotonic`: a clock in milliseconds. */
  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic
  }

  /** Holds `revision` until the result is disposed of. */
  hold(revision: Revision): Disposable {
    const hold = { revision, since: this.#monotonic() }
    this.#holds.add(hold)
    return { [Symbol.dispose]: () => this.#holds.delete(hold) }
  }

  /** Oldest revision held, Infinity for none. */
  oldest(): Revision {
    const from = this.#monotonic() - MAX_HOLD_MS
    let oldest = Infinity
    for (const { revision, since } of this.#holds) if (since >= from) oldest = Math.min(oldest, revision)
    return oldest
  }
}
