import type { LeaseId } from '#pkg/kine/backend.ts'

/** Bytes that `value` takes as a varint; a negative number takes ten, as in every protobuf int64. */
export function varintSize(value: LeaseId): number {
  if (value < 0) return 10
  if (typeof value === 'bigint') return value < 1n << 56n ? 8 : 9
  let size = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1
  return size
}

/** Writes `value` at `at` and returns the offset behind it. */
export function writeVarint(target: Buffer, value: LeaseId, at: number): number {
  if (value < 0 || typeof value === 'bigint') return writeLong(target, BigInt(value), at)
  let rest = value
  let offset = at
  while (rest >= 0x80) {
    target[offset] = (rest % 0x80) | 0x80
    offset += 1
    rest = Math.floor(rest / 0x80)
  }
  target[offset] = rest
  return offset + 1
}

function writeLong(target: Buffer, value: bigint, at: number): number {
  let rest = BigInt.asUintN(64, value)
  let offset = at
  for (; rest >= 0x80n; rest >>= 7n) {
    target[offset] = Number(rest & 0x7fn) | 0x80
    offset += 1
  }
  target[offset] = Number(rest)
  return offset + 1
}

/**
 * Builds one protobuf message. Fields go in ascending order; zero, false and empty ones are left out, as proto3 does.
 * For messages of known layout on the hot path see key-value.ts instead.
 */
export class WireWriter {
  #buffer: Buffer
  #length = 0

  constructor(sizeHint = 64) {
    this.#buffer = Buffer.allocUnsafe(sizeHint)
  }

  /** An integer; of more than 53 bits a bigint. */
  int(field: number, value: LeaseId): this {
    if (value === 0) return this
    this.#reserve(20)
    this.#length = writeVarint(this.#buffer, field * 8, this.#length)
    this.#length = writeVarint(this.#buffer, value, this.#length)
    return this
  }

  bool(field: number, value: boolean): this {
    return this.int(field, value ? 1 : 0)
  }

  /** A byte string; left out when empty. */
  bytes(field: number, value: Buffer): this {
    return value.length === 0 ? this : this.message(field, value)
  }

  string(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value))
  }

  /** An embedded message, present even when empty; undefined leaves it out. */
  message(field: number, value: Buffer | undefined): this {
    if (value === undefined) return this
    this.#reserve(20 + value.length)
    this.#length = writeVarint(this.#buffer, field * 8 + 2, this.#length)
    this.#length = writeVarint(this.#buffer, value.length, this.#length)
    value.copy(this.#buffer, this.#length)
    this.#length += value.length
    return this
  }

  /** The message so far; the writer must not be used afterwards. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}
