/** A parameter of a statement; arrays go as one. Numbers are int8. */
export type Param =
  | number
  | bigint
  | string
  | Buffer
  | { readonly int8s: readonly (number | bigint)[] }
  | { readonly byteas: readonly Buffer[] }

/** Ids of PostgreSQL's built-in types (pg_type.dat). */
export const oid = { bytea: 17, int8: 20, text: 25, byteas: 1001, int8s: 1016 } as const

const TWO_TO_32 = 2 ** 32
const BINARY = 1

/** Bytes that parameters take at most. */
export function sizeOf(params: readonly Param[]): number {
  let size = 0
  for (const param of params) {
    size += 32
    if (typeof param === 'string') size += param.length * 3
    else if (Buffer.isBuffer(param)) size += param.length
    else if (typeof param === 'object' && 'int8s' in param) size += param.int8s.length * 12
    else if (typeof param === 'object') for (const bytes of param.byteas) size += bytes.length + 4
  }
  return size
}

/**
 * Writes messages of the frontend, protocol 3.0, into one buffer: a request is one write to the socket. Every value
 * travels in binary, parameters and results: hexadecimal bytea would double the bytes and cost most of the time.
 */
export class MessageWriter {
  #buffer: Buffer
  #length = 0

  constructor(sizeHint = 512) {
    this.#buffer = Buffer.allocUnsafe(sizeHint)
  }

  /** Query: one or several statements without parameters. */
  query(sql: string): this {
    return this.#message('Q', () => this.#cstring(sql))
  }

  /** Parse: `name` is empty for a statement that is used once. */
  parse(name: string, sql: string, types: readonly number[]): this {
    return this.#message('P', () => {
      this.#cstring(name)
      this.#cstring(sql)
      this.#int16(types.length)
      for (const type of types) this.#int32(type)
    })
  }

  /** Bind to the unnamed portal. */
  bind(name: string, params: readonly Param[]): this {
    return this.#message('B', () => {
      this.#cstring('')
      this.#cstring(name)
      this.#int16(1)
      this.#int16(BINARY)
      this.#int16(params.length)
      for (const param of params) this.#sized(() => this.#param(param))
      this.#int16(1)
      this.#int16(BINARY)
    })
  }

  /** Execute of the unnamed portal, all rows. */
  execute(): this {
    return this.#message('E', () => {
      this.#cstring('')
      this.#int32(0)
    })
  }

  sync(): this {
    return this.#message('S', () => undefined)
  }

  terminate(): this {
    return this.#message('X', () => undefined)
  }

  /** What was written; the writer must not be used afterwards. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #message(type: string, body: () => void): this {
    this.#reserve(1)
    this.#buffer[this.#length] = type.charCodeAt(0)
    this.#length += 1
    const start = this.#length
    this.#int32(0)
    body()
    this.#buffer.writeInt32BE(this.#length - start, start)
    return this
  }

  /** A length that does not count itself, then the bytes. */
  #sized(body: () => void): void {
    const start = this.#length
    this.#int32(0)
    body()
    this.#buffer.writeInt32BE(this.#length - start - 4, start)
  }

  #param(param: Param): void {
    if (typeof param === 'number' || typeof param === 'bigint') this.#int8(param)
    else if (typeof param === 'string') this.#text(param)
    else if (Buffer.isBuffer(param)) this.#bytes(param)
    else if ('int8s' in param) {
      this.#array(oid.int8, param.int8s.length)
      for (const value of param.int8s) {
        this.#int32(8)
        this.#int8(value)
      }
    } else {
      this.#array(oid.bytea, param.byteas.length)
      for (const value of param.byteas) {
        this.#int32(value.length)
        this.#bytes(value)
      }
    }
  }

  /** Header of a one-dimensional array without nulls, first index 1; an empty array has no dimension. */
  #array(type: number, length: number): void {
    this.#int32(length === 0 ? 0 : 1)
    this.#int32(0)
    this.#int32(type)
    if (length === 0) return
    this.#int32(length)
    this.#int32(1)
  }

  #int8(value: number | bigint): void {
    this.#reserve(8)
    if (typeof value === 'bigint') this.#buffer.writeBigInt64BE(value, this.#length)
    else {
      this.#buffer.writeInt32BE(Math.floor(value / TWO_TO_32), this.#length)
      this.#buffer.writeInt32BE(value | 0, this.#length + 4)
    }
    this.#length += 8
  }

  #int16(value: number): void {
    this.#reserve(2)
    this.#length = this.#buffer.writeInt16BE(value, this.#length)
  }

  #int32(value: number): void {
    this.#reserve(4)
    this.#length = this.#buffer.writeInt32BE(value, this.#length)
  }

  #cstring(text: string): void {
    this.#text(text)
    this.#reserve(1)
    this.#buffer[this.#length] = 0
    this.#length += 1
  }

  #text(text: string): void {
    this.#reserve(text.length * 3)
    this.#length += this.#buffer.write(text, this.#length)
  }

  #bytes(bytes: Buffer): void {
    this.#reserve(bytes.length)
    this.#length += bytes.copy(this.#buffer, this.#length)
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}
