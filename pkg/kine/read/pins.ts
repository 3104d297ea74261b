import type { Revision } from '#pkg/kine/backend.ts'

/** Revisions that reads in progress need: compaction deletes nothing that one of them may still ask for. */
export class Pins {
  readonly #counts = new Map<Revision, number>()

  /** Holds `revision` until the result is disposed of. */
  hold(revision: Revision): Disposable {
    this.#counts.set(revision, (this.#counts.get(revision) ?? 0) + 1)
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (held) this.#release(revision)
        held = false
      },
    }
  }

  /** Oldest revision held, Infinity for none. */
  oldest(): Revision {
    let oldest = Infinity
    for (const revision of this.#counts.keys()) oldest = Math.min(oldest, revision)
    return oldest
  }

  #release(revision: Revision): void {
    const count = this.#counts.get(revision) ?? 0
    if (count <= 1) this.#counts.delete(revision)
    else this.#counts.set(revision, count - 1)
  }
}
