/** Pseudo-random choices: the same seed, the same choices. */
export class Random {
  #state: number

  constructor(seed: number) {
    // The first values of near seeds are alike; a large odd factor pulls them apart.
    this.#state = Math.imul(seed, 0x9e37_79b1) & 0x7fff_ffff
  }

  /** Whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return (this.#state >> 8) % limit
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  /** A list of fewer than `limit` items. */
  fewerThan<T>(limit: number, make: () => T): T[] {
    return Array.from({ length: this.below(limit) }, make)
  }
}
