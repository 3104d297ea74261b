/**
 * Runs asynchronous sections one after the other, in the order of the calls: own commits and the taking over of other
 * instances' commits exclude each other by it.
 */
export class Serial {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `section` once all earlier ones have ended, whatever became of them. A section must not call `run`. */
  run<T>(section: () => Promise<T>): Promise<T> {
    const outcome = this.#last.then(section)
    this.#last = outcome.catch(() => undefined)
    return outcome
  }

  /** Resolves when every section asked for so far has ended. */
  async idle(): Promise<void> {
    await this.#last
  }
}
