import type { Key, KeyVersion } from '#pkg/kine/backend.ts'
import { int64 } from '#pkg/kine/wire/int64.ts'

/** Most versions of a leaf. */
export const LEAF_CAPACITY = 64

/** Float64 columns: row id, mod revision, create revision, version. */
const NUMBERS = 4
/** 32-bit columns: upper and lower half of the lease, size of the value, end of the key in the leaf's key bytes. */
const WORDS = 4
const WORDS_AT = LEAF_CAPACITY * NUMBERS * 8
const LEAF_BYTES = WORDS_AT + LEAF_CAPACITY * WORDS * 4
const LEASE_HIGH = 0
const LEASE_LOW = 1
const VALUE_SIZE = 2
const KEY_END = 3

const NO_KEYS: Buffer = Buffer.alloc(0)

/**
 * Up to 64 versions in key order, packed: an object with a buffer for each version would take eight times the memory.
 *
 * INVARIANTS: `#keys` is never written to once it is set, so that keys handed out as views of it stay what they are;
 * a change of the set of keys makes a new one. `#common` leading bytes are the same in all keys.
 */
export class Leaf {
  readonly leaf = true
  #count = 0
  #keys = NO_KEYS
  #common = 0
  readonly #numbers: Float64Array
  readonly #words: Int32Array

  constructor() {
    const columns = new ArrayBuffer(LEAF_BYTES)
    this.#numbers = new Float64Array(columns, 0, LEAF_CAPACITY * NUMBERS)
    this.#words = new Int32Array(columns, WORDS_AT)
  }

  /** Number of versions. */
  get count(): number {
    return this.#count
  }

  /** Position of the key; if it is not here, -1 minus the position where it belongs. */
  find(key: Key): number {
    const common = this.#common
    if (this.#count === 0) return -1
    for (let i = 0; i < common; i += 1) {
      const a = key[i]
      const b = this.#keys[i]
      if (a === b) continue
      return a === undefined || (b !== undefined && a < b) ? -1 : -1 - this.#count
    }
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      const order = this.#compare(middle, key, common)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle
    }
    return -1 - low
  }

  /** The version at a position. Its key is a view of the leaf's keys: who keeps it for long must copy it. */
  version(at: number): KeyVersion {
    const n = at * NUMBERS
    const w = at * WORDS
    const high = this.#words[w + LEASE_HIGH] ?? 0
    const low = (this.#words[w + LEASE_LOW] ?? 0) >>> 0
    return {
      key: this.key(at),
      id: this.#numbers[n] ?? 0,
      modRevision: this.#numbers[n + 1] ?? 0,
      createRevision: this.#numbers[n + 2] ?? 0,
      version: this.#numbers[n + 3] ?? 0,
      lease: high === 0 ? low : int64(high, low),
      valueSize: (this.#words[w + VALUE_SIZE] ?? 0) >>> 0,
    }
  }

  /** The key at a position, as a view of the leaf's keys. */
  key(at: number): Key {
    return this.#keys.subarray(this.#keyStart(at), this.#keyEnd(at))
  }

  /** Replaces the version at a position by one of the same key. */
  replace(at: number, version: KeyVersion): void {
    const n = at * NUMBERS
    const w = at * WORDS
    const { lease } = version
    this.#numbers[n] = version.id
    this.#numbers[n + 1] = version.modRevision
    this.#numbers[n + 2] = version.createRevision
    this.#numbers[n + 3] = version.version
    // Assignment to a 32-bit array takes the value modulo 2^32.
    this.#words[w + LEASE_HIGH] = typeof lease === 'bigint' ? Number(lease >> 32n) : Math.floor(lease / 0x1_0000_0000)
    this.#words[w + LEASE_LOW] = typeof lease === 'bigint' ? Number(lease & 0xffff_ffffn) : lease
    this.#words[w + VALUE_SIZE] = version.valueSize
  }

  /** Inserts a version before the one at the position; there must be room. */
  insert(at: number, version: KeyVersion): void {
    const { key } = version
    const start = this.#keyStart(at)
    this.#keys = joined(this.#keys.subarray(0, start), key, this.#keys.subarray(start))
    this.#moveColumns(at, at + 1)
    this.#count += 1
    this.#words[at * WORDS + KEY_END] = start
    this.#shiftEnds(at, key.length)
    this.replace(at, version)
    if (at === 0 || at === this.#count - 1) this.#measureCommon()
  }

  /** Removes the version at a position. */
  remove(at: number): void {
    const start = this.#keyStart(at)
    const end = this.#keyEnd(at)
    this.#keys = joined(this.#keys.subarray(0, start), this.#keys.subarray(end))
    this.#moveColumns(at + 1, at)
    this.#count -= 1
    this.#shiftEnds(at, start - end)
    if (at === 0 || at === this.#count) this.#measureCommon()
  }

  /** Moves the versions from a position on to a new leaf. */
  split(at: number): Leaf {
    const right = new Leaf()
    right.#take(this, at, this.#count)
    this.#keys = joined(this.#keys.subarray(0, this.#keyStart(at)))
    this.#count = at
    this.#measureCommon()
    return right
  }

  /** Takes over all versions of the leaf that follows; there must be room. */
  append(next: Leaf): void {
    this.#take(next, 0, next.#count)
  }

  #take(from: Leaf, first: number, end: number): void {
    const start = from.#keyStart(first)
    const shift = this.#keys.length - start
    this.#keys = joined(this.#keys, from.#keys.subarray(start, from.#keyStart(end)))
    this.#numbers.set(from.#numbers.subarray(first * NUMBERS, end * NUMBERS), this.#count * NUMBERS)
    this.#words.set(from.#words.subarray(first * WORDS, end * WORDS), this.#count * WORDS)
    const at = this.#count
    this.#count += end - first
    this.#shiftEnds(at, shift)
    this.#measureCommon()
  }

  #keyStart(at: number): number {
    return at === 0 ? 0 : this.#keyEnd(at - 1)
  }

  #keyEnd(at: number): number {
    return this.#words[at * WORDS + KEY_END] ?? 0
  }

  #shiftEnds(from: number, by: number): void {
    for (let i = from; i < this.#count; i += 1) {
      const end = i * WORDS + KEY_END
      this.#words[end] = (this.#words[end] ?? 0) + by
    }
  }

  #moveColumns(from: number, to: number): void {
    this.#numbers.copyWithin(to * NUMBERS, from * NUMBERS, this.#count * NUMBERS)
    this.#words.copyWithin(to * WORDS, from * WORDS, this.#count * WORDS)
  }

  /** Below 0 if the key at the position is lower; both are known to agree in the first `skip` bytes. */
  #compare(at: number, key: Key, skip: number): number {
    const start = this.#keyStart(at)
    const length = this.#keyEnd(at) - start
    const shorter = Math.min(length, key.length)
    for (let i = skip; i < shorter; i += 1) {
      const order = (this.#keys[start + i] ?? 0) - (key[i] ?? 0)
      if (order !== 0) return order
    }
    return length - key.length
  }

  /** What the first and the last key have in common, all between them have too. */
  #measureCommon(): void {
    const last = this.#keyStart(this.#count - 1)
    const longest = this.#count === 0 ? 0 : Math.min(this.#keyEnd(0), this.#keys.length - last)
    let common = 0
    while (common < longest && this.#keys[common] === this.#keys[last + common]) common += 1
    this.#common = common
  }
}

/** Memory of its own: a slice of Node's shared pool would keep other things alive. */
function joined(...parts: readonly Buffer[]): Buffer {
  const target = Buffer.allocUnsafeSlow(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) at += part.copy(target, at)
  return target
}
