import type { LeaseId } from '#pkg/kine/backend.ts'
import { int64 } from '#pkg/kine/wire/int64.ts'

/** The bytes are not the protobuf message that they should be, or hold a number beyond 2^53. */
export class WireError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'WireError'
  }
}

/** Protobuf wire types: varint, 64-bit, length-delimited, 32-bit. */
const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

/**
 * Reads one protobuf message field by field:
 * `while (r.next()) switch (r.field) { case 1: key = r.bytes() … default: r.skip() }`.
 * Byte fields are views of the message, not copies.
 */
export class WireReader {
  /** Number of the current field. */
  field = 0
  readonly #buffer: Buffer
  readonly #end: number
  #type = 0
  #at: number

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.#buffer = buffer
    this.#at = start
    this.#end = end
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.#at >= this.#end) return false
    const tag = this.#varint()
    this.field = Math.floor(tag / 8)
    this.#type = tag % 8
    if (this.field < 1) throw new WireError('illegal field number')
    return true
  }

  /**
   * A signed integer. One beyond 2^53 counts as the nearest safe one: of revisions, versions and limits, that is as far
   * beyond all that there is as the number itself, and a client may ask for it, as the users of an API server can.
   */
  int(): number {
    this.#expect(VARINT)
    const value = this.#int64()
    if (typeof value === 'number') return value
    return value > 0n ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER
  }

  /** A signed integer that is given back to the client: it must be a safe one. */
  exactInt(): number {
    this.#expect(VARINT)
    return this.#varint()
  }

  /** An int64 of any size in its one form, see LeaseId. */
  int64(): LeaseId {
    this.#expect(VARINT)
    return this.#int64()
  }

  bool(): boolean {
    return this.int() !== 0
  }

  bytes(): Buffer {
    this.#expect(BYTES)
    const length = this.#varint()
    const start = this.#at
    if (length < 0 || start + length > this.#end) throw new WireError('unexpected end of message')
    this.#at = start + length
    return this.#buffer.subarray(start, this.#at)
  }

  /** A reader of the embedded message. */
  message(): WireReader {
    return new WireReader(this.bytes())
  }

  /** Every value of a repeated enum or integer field, packed or not. */
  repeatedInts(into: number[]): void {
    if (this.#type === VARINT) {
      into.push(this.#varint())
      return
    }
    const packed = this.message()
    while (packed.#at < packed.#end) into.push(packed.#varint())
  }

  skip(): void {
    switch (this.#type) {
      case VARINT:
        this.#int64()
        return
      case FIXED64:
        this.#advance(8)
        return
      case BYTES:
        this.bytes()
        return
      case FIXED32:
        this.#advance(4)
        return
      default:
        throw new WireError(`unknown wire type ${this.#type}`)
    }
  }

  #expect(type: number): void {
    if (this.#type !== type) throw new WireError(`field ${this.field} has wire type ${this.#type}, not ${type}`)
  }

  #advance(length: number): void {
    this.#at += length
    if (this.#at > this.#end) throw new WireError('unexpected end of message')
  }

  #varint(): number {
    const value = this.#int64()
    if (typeof value === 'bigint') throw new WireError('integer beyond 2^53')
    return value
  }

  #int64(): LeaseId {
    let value = 0
    // 28 bits fit in 32-bit arithmetic; nearly every varint of this protocol ends here.
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    return this.#longVarint(value)
  }

  /** Bits 28 to 63 as two 32-bit halves, so that negative numbers (ten bytes) come out negative. */
  #longVarint(first28: number): LeaseId {
    let low = first28
    let high = 0
    const fifth = this.#byte()
    low = (low | ((fifth & 0x0f) << 28)) >>> 0
    high = (fifth & 0x70) >>> 4
    if (fifth >= 0x80) {
      for (let shift = 3; ; shift += 7) {
        if (shift > 31) throw new WireError('varint longer than ten bytes')
        const byte = this.#byte()
        high |= (byte & 0x7f) << shift
        if (byte < 0x80) break
      }
    }
    return int64(high | 0, low)
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new WireError('unexpected end of message')
    const byte = this.#buffer[this.#at]
    this.#at += 1
    return byte ?? 0
  }
}
