/** A value that one component sets and others read when they start, or follow while they run. */
export class Latest<T> {
  readonly #what: string
  readonly #followers = new Set<(value: T) => void>()
  #value: T | undefined

  /** `what` names the value in the error of a read before the first write. */
  constructor(what: string) {
    this.#what = what
  }

  /** The value, or undefined before the first `set`. */
  peek(): T | undefined {
    return this.#value
  }

  /** The value; a read before the first write is a fault in the graph, not a condition to handle. */
  get(): T {
    if (this.#value === undefined) throw new Error(`${this.#what} is read before it is known`)
    return this.#value
  }

  set(value: T): void {
    this.#value = value
    for (const follower of this.#followers) follower(value)
  }

  /** Calls `follower` on every later `set`; the result ends that. */
  follow(follower: (value: T) => void): () => void {
    this.#followers.add(follower)
    return () => this.#followers.delete(follower)
  }
}
