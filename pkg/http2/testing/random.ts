/** Numbers that a seed determines (mulberry32), so that a failure can be run again. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to `below`, exclusive. */
  int(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.int(times) === 0
  }

  /** One of them. */
  of<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.int(256)))
  }

  /** A copy with some bytes changed, sometimes cut short. */
  damage(bytes: Buffer): Buffer {
    const copy = Buffer.from(bytes)
    for (let i = this.int(4); i > 0 && copy.length > 0; i -= 1) copy[this.int(copy.length)] = this.int(256)
    return this.once(4) ? copy.subarray(0, this.int(copy.length + 1)) : copy
  }

  /** The bytes in pieces of any size. */
  cut(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = []
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + this.int(this.once(3) ? 12 : bytes.length)
      pieces.push(bytes.subarray(at, end))
      at = end
    }
    return pieces
  }
}

/** Seed of a fuzz test: the one asked for, or another one each time. Put it into the test's name. */
export function fuzzSeed(asked: string | undefined): number {
  return Number(asked ?? Math.floor(Math.random() * 2 ** 32))
}
