import type { Head, SharedLog } from '#pkg/kine/dialect/dialect.ts'

/**
 * Reads the head for many at once: one query runs, and all who ask meanwhile share the next one. When it fails they
 * fail too, instead of waiting another timeout for a database that is away.
 */
export class Heads {
  readonly #shared: Pick<SharedLog, 'head'>
  #running: Promise<Head> | undefined
  #next: Promise<Head> | undefined

  constructor(shared: Pick<SharedLog, 'head'>) {
    this.#shared = shared
  }

  /** A head that was the newest one at some moment after this call. @throws StoreError 'unavailable' */
  fresh(): Promise<Head> {
    this.#next ??= this.#query()
    return this.#next
  }

  async #query(): Promise<Head> {
    try {
      // Without one that runs the query still leaves a little later, so that all who ask in this turn share it.
      await (this.#running ?? Promise.resolve())
    } finally {
      this.#next = undefined
    }
    const head = this.#shared.head()
    this.#running = head
    try {
      return await head
    } finally {
      if (this.#running === head) this.#running = undefined
    }
  }
}
