/** A commit usually has its outcome sooner, and then nothing needs to be read for it. */
const LEND_AFTER_MS = 25

/**
 * Runs asynchronous sections one after the other, in the order of the calls: own commits and the taking over of other
 * instances' commits exclude each other by it.
 *
 * A section that waits for the database, and can stand it that what it has seen changes meanwhile, may lend its turn:
 *
 *     in turn  --lend, LEND_AFTER_MS-->  lent: borrowers run, one after the other  --outcome-->  in turn
 *
 * The section goes on when the outcome is there and the borrower that runs then, if any, has ended. Nobody but borrowers
 * runs on loan, so that they still exclude each other and everything else.
 */
export class Serial {
  #last: Promise<unknown> = Promise.resolve()
  /** Those whose turn has not come. */
  readonly #borrowers = new Set<() => Promise<void>>()
  /** Resolves when all that run on loan have ended; undefined while nobody lends. */
  #lent: Promise<void> | undefined

  /** Runs `section` once all earlier ones have ended, whatever became of them. A section must not call `run`. */
  run<T>(section: () => Promise<T>): Promise<T> {
    const outcome = this.#last.then(section)
    this.#last = outcome.catch(() => undefined)
    return outcome
  }

  /** As `run`, but sooner if an earlier section lends its turn. */
  borrow<T>(section: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<T>()
    const runOnce = async (): Promise<void> => {
      if (!this.#borrowers.delete(runOnce)) return
      const outcome = section()
      resolve(outcome)
      await outcome.catch(() => undefined)
    }
    this.#borrowers.add(runOnce)
    void this.run(runOnce)
    this.#lent &&= this.#lent.then(runOnce)
    return promise
  }

  /** Within a section: waits for `outcome`, and lends the turn when that takes long; `onLent` hears of it. */
  async lend<T>(outcome: Promise<T>, onLent: () => void): Promise<T> {
    const timer = setTimeout(() => {
      let lent = Promise.resolve()
      for (const runOnce of this.#borrowers) lent = lent.then(runOnce)
      this.#lent = lent
      onLent()
    }, LEND_AFTER_MS)
    try {
      return await outcome
    } finally {
      clearTimeout(timer)
      const lent = this.#lent
      this.#lent = undefined
      await lent
    }
  }

  /** Resolves when every section asked for so far has ended. */
  async idle(): Promise<void> {
    await this.#last
  }
}
