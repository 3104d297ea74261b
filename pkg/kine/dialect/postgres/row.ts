import type { LeaseId } from '#pkg/kine/backend.ts'
import { ownCopy } from '#pkg/kine/keys.ts'

const TWO_TO_32 = 2 ** 32
const NULL = -1

/** The columns of one result row, in binary, read one after the other. Valid only while the row is being handled. */
export class Row {
  #body: Buffer = Buffer.alloc(0)
  #at = 0

  /** Starts at the first column of a DataRow message. */
  reset(body: Buffer): this {
    this.#body = body
    this.#at = 2
    return this
  }

  /** int8 that is known to be a safe integer. */
  number(): number {
    this.#skipLength()
    const high = this.#body.readInt32BE(this.#at)
    const low = this.#body.readUInt32BE(this.#at + 4)
    this.#at += 8
    const value = high * TWO_TO_32 + low
    if (!Number.isSafeInteger(value)) throw new RangeError('the database holds a number beyond 2^53')
    return value
  }

  /** int8 as the id of a lease. */
  lease(): LeaseId {
    this.#skipLength()
    const value = this.#body.readBigInt64BE(this.#at)
    this.#at += 8
    const exact = Number(value)
    return Number.isSafeInteger(exact) ? exact : value
  }

  boolean(): boolean {
    this.#skipLength()
    this.#at += 1
    return this.#body[this.#at - 1] === 1
  }

  text(): string {
    return this.bytes().toString()
  }

  /** A view of the message. */
  bytes(): Buffer {
    const start = this.#at + 4
    this.#at = start + this.#skipLength()
    return this.#body.subarray(start, this.#at)
  }

  /** A copy, fit to be kept. */
  ownBytes(): Buffer {
    return ownCopy(this.bytes())
  }

  /** Whether the next column is null; it is passed over if so. */
  null(): boolean {
    const isNull = this.#body.readInt32BE(this.#at) === NULL
    if (isNull) this.#at += 4
    return isNull
  }

  #skipLength(): number {
    const length = this.#body.readInt32BE(this.#at)
    if (length === NULL) throw new TypeError('the database holds a null where none belongs')
    this.#at += 4
    return length
  }
}
