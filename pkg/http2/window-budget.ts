/**
 * What all streams of a process may have granted their peers beyond the windows that every stream begins with. Once it is
 * used up, streams stay slower and not one of them stops: what peers can make this process hold is the budget, and one
 * first window for each stream.
 */
export class WindowBudget {
  readonly #limitBytes: number
  #usedBytes = 0

  constructor(options: { readonly limitBytes: number }) {
    this.#limitBytes = options.limitBytes
  }

  /** Bytes granted now. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Takes as much as there is, up to `bytes`. */
  take(bytes: number): number {
    const taken = Math.max(0, Math.min(bytes, this.#limitBytes - this.#usedBytes))
    this.#usedBytes += taken
    return taken
  }

  /** Returns what was taken. */
  give(bytes: number): void {
    this.#usedBytes -= bytes
  }
}
