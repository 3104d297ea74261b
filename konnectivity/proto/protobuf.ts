/** The peer sent bytes that are not the protocol: its stream is ended, others go on. */
export class MalformedPacketError extends Error {
  constructor(detail: string) {
    super(`malformed tunnel packet: ${detail}`)
    this.name = 'MalformedPacketError'
  }
}

/** One field of a protobuf message: a varint, or the bytes of a length-delimited one (a view, not a copy). */
export type Field =
  | { readonly number: number; readonly kind: 'varint'; readonly value: bigint }
  | { readonly number: number; readonly kind: 'bytes'; readonly value: Buffer }

const MAX_VARINT_BYTES = 10

/**
 * Reads protobuf fields one after the other. Fixed32 and fixed64 fields are skipped: the tunnel's packets have none, and
 * unknown fields must be ignored.
 */
export class FieldReader {
  readonly #buffer: Buffer
  #offset = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  /** The next varint or length-delimited field, or undefined at the end. @throws MalformedPacketError */
  next(): Field | undefined {
    while (this.#offset < this.#buffer.length) {
      const tag = Number(this.#varint())
      const number = Math.floor(tag / 8)
      if (number === 0) throw new MalformedPacketError('field number 0')
      switch (tag % 8) {
        case 0:
          return { number, kind: 'varint', value: this.#varint() }
        case 1:
          this.#take(8)
          break
        case 2:
          return { number, kind: 'bytes', value: this.#take(Number(this.#varint())) }
        case 5:
          this.#take(4)
          break
        default:
          throw new MalformedPacketError(`wire type ${tag % 8}`)
      }
    }
    return undefined
  }

  #take(length: number): Buffer {
    const end = this.#offset + length
    if (end > this.#buffer.length) throw new MalformedPacketError('field longer than its message')
    const bytes = this.#buffer.subarray(this.#offset, end)
    this.#offset = end
    return bytes
  }

  #varint(): bigint {
    const start = this.#offset
    const limit = Math.min(start + MAX_VARINT_BYTES, this.#buffer.length)
    let value = 0
    for (let at = start, factor = 1; at < limit; at += 1, factor *= 128) {
      const byte = this.#buffer[at] ?? 0
      value += (byte & 0x7f) * factor
      if (byte < 0x80) {
        this.#offset = at + 1
        // Seven bytes hold 49 bits: exact in a double, which spares the BigInt arithmetic nearly every time.
        return at - start < 7 ? BigInt(value) : longVarint(this.#buffer.subarray(start, at + 1))
      }
    }
    throw new MalformedPacketError('varint without end')
  }
}

function longVarint(bytes: Buffer): bigint {
  return BigInt.asUintN(
    64,
    bytes.reduceRight((value, byte) => (value << 7n) | BigInt(byte & 0x7f), 0n),
  )
}

/** Encoded varint of a non-negative safe integer or of an int64 as two's complement. */
export function varint(value: number | bigint): number[] {
  const bytes: number[] = []
  if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) {
    // Exact in a double, which spares the BigInt arithmetic nearly every time.
    let rest = Number(value)
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
    bytes.push(rest)
    return bytes
  }
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return bytes
}

/** A varint field; left out when 0, as proto3 does. */
export function varintField(number: number, value: number | bigint): Buffer {
  return value === 0 || value === 0n ? EMPTY : Buffer.from([number * 8, ...varint(value)])
}

/** A length-delimited field, always written: an empty sub-message is how a oneof names its member. */
export function bytesField(number: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([number * 8 + 2, ...varint(value.length)]), value])
}

/** A string field; left out when empty. */
export function stringField(number: number, value: string): Buffer {
  if (value === '') return EMPTY
  const bytes = Buffer.byteLength(value)
  if (bytes >= 0x80) return bytesField(number, Buffer.from(value))
  const field = Buffer.allocUnsafe(2 + bytes)
  field[0] = number * 8 + 2
  field[1] = bytes
  field.write(value, 2)
  return field
}

const EMPTY = Buffer.alloc(0)
