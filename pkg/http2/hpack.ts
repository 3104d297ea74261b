import { decodeHuffman } from '#pkg/http2/huffman.ts'
import { ErrorCode, Http2Error } from '#pkg/http2/protocol.ts'

/** RFC 7541, appendix A: name, and a value where there is one. */
const STATIC_TABLE: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  ...['200', '204', '206', '304', '400', '404', '500'].map((status) => [':status', status] as const),
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...[
    ['accept-language', 'accept-ranges', 'accept', 'access-control-allow-origin', 'age', 'allow', 'authorization'],
    ['cache-control', 'content-disposition', 'content-encoding', 'content-language', 'content-length'],
    ['content-location', 'content-range', 'content-type', 'cookie', 'date', 'etag', 'expect', 'expires', 'from'],
    ['host', 'if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified'],
    ['link', 'location', 'max-forwards', 'proxy-authenticate', 'proxy-authorization', 'range', 'referer', 'refresh'],
    ['retry-after', 'server', 'set-cookie', 'strict-transport-security', 'transfer-encoding', 'user-agent', 'vary'],
    ['via', 'www-authenticate'],
  ]
    .flat()
    .map((name) => [name, ''] as const),
]

/** The table's size that both sides begin with (SETTINGS_HEADER_TABLE_SIZE), which this server leaves as it is. */
export const HEADER_TABLE_BYTES = 4096
/** What an entry counts besides its texts (RFC 7541, 4.1). */
const ENTRY_OVERHEAD = 32
/** Texts of one block: a client that sends more means harm. */
const MAX_LIST_BYTES = 64 * 1024

interface Entry {
  readonly name: string
  readonly value: string
}

/** Decodes the header blocks of one connection, in order. Texts are latin1. */
export class HpackDecoder {
  /** Oldest first. */
  readonly #dynamic: Entry[] = []
  #dynamicBytes = 0
  #maxBytes = HEADER_TABLE_BYTES
  #block: Buffer = Buffer.alloc(0)
  #at = 0

  /** Calls `visit` for each field. @throws Http2Error, which ends the connection: the tables have come apart */
  decode(block: Buffer, visit: (name: string, value: string) => void): void {
    this.#block = block
    this.#at = 0
    let bytes = 0
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0
      let field: Entry
      if (first >= 0x80) field = this.#entry(this.#integer(7))
      else if (first >= 0x40) {
        field = this.#literal(6)
        this.#insert(field)
      } else if (first >= 0x20) {
        this.#resize(this.#integer(5))
        continue
      } else field = this.#literal(4)
      bytes += field.name.length + field.value.length + ENTRY_OVERHEAD
      if (bytes > MAX_LIST_BYTES) throw new Http2Error(ErrorCode.enhanceYourCalm, 'headers too large')
      visit(field.name, field.value)
    }
  }

  #literal(prefixBits: number): Entry {
    const index = this.#integer(prefixBits)
    const name = index === 0 ? this.#text() : this.#entry(index).name
    return { name, value: this.#text() }
  }

  #entry(index: number): Entry {
    if (index > STATIC_TABLE.length) {
      const entry = this.#dynamic[this.#dynamic.length - (index - STATIC_TABLE.length)]
      if (entry !== undefined) return entry
    } else {
      const entry = STATIC_TABLE[index - 1]
      if (entry !== undefined) return { name: entry[0], value: entry[1] }
    }
    throw broken(`header index ${index}`)
  }

  #insert(entry: Entry): void {
    this.#dynamic.push(entry)
    this.#dynamicBytes += sizeOf(entry)
    this.#evict()
  }

  #resize(maxBytes: number): void {
    if (maxBytes > HEADER_TABLE_BYTES) throw broken(`header table of ${maxBytes} bytes`)
    this.#maxBytes = maxBytes
    this.#evict()
  }

  #evict(): void {
    while (this.#dynamicBytes > this.#maxBytes) {
      const oldest = this.#dynamic.shift()
      if (oldest === undefined) return
      this.#dynamicBytes -= sizeOf(oldest)
    }
  }

  /** RFC 7541, 5.1. Nothing here is longer than four bytes. */
  #integer(prefixBits: number): number {
    const mask = 2 ** prefixBits - 1
    let value = this.#byte() & mask
    if (value < mask) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw broken('an integer without an end')
  }

  #text(): string {
    const huffman = (this.#block[this.#at] ?? 0) >= 0x80
    const length = this.#integer(7)
    const start = this.#at
    this.#at += length
    if (this.#at > this.#block.length) throw broken('a text without an end')
    if (!huffman) return this.#block.toString('latin1', start, this.#at)
    const text = decodeHuffman(this.#block, start, this.#at)
    if (text === undefined) throw broken('a text with a broken code')
    return text
  }

  #byte(): number {
    const byte = this.#block[this.#at]
    if (byte === undefined) throw broken('a header block without an end')
    this.#at += 1
    return byte
  }
}

function sizeOf({ name, value }: Entry): number {
  return name.length + value.length + ENTRY_OVERHEAD
}

function broken(what: string): Http2Error {
  return new Http2Error(ErrorCode.compressionError, what)
}

/** `:status 200` of the static table. */
const STATUS_200 = 0x88

/**
 * Encodes fields with what the static table has of them, and as literals that no table remembers: the bytes are the same on
 * every connection, so that they may be made once. Names are lower case, texts ASCII.
 */
export function encodeFields(fields: readonly (readonly [name: string, value: string])[], status200 = false): Buffer {
  let most = 1
  for (const [name, value] of fields) most += 1 + name.length + value.length + 2 * MAX_LENGTH_BYTES
  const target = Buffer.allocUnsafe(most)
  let at = 0
  if (status200) target[at++] = STATUS_200
  for (const [name, value] of fields) {
    const known = STATIC_VALUES.get(name)?.get(value)
    if (known !== undefined) {
      target[at++] = 0x80 | known
      continue
    }
    target[at++] = 0
    at = writeText(target, at, name)
    at = writeText(target, at, value)
  }
  return target.subarray(0, at)
}

/** Of a text's length. */
const MAX_LENGTH_BYTES = 5

/** Places in the static table of fields with their values. */
const STATIC_VALUES = new Map<string, Map<string, number>>()
for (const [i, [name, value]] of STATIC_TABLE.entries()) {
  if (value === '') continue
  const values = STATIC_VALUES.get(name) ?? new Map<string, number>()
  STATIC_VALUES.set(name, values.set(value, i + 1))
}

/** Writes a text with its length; returns the place behind it. */
function writeText(target: Buffer, start: number, text: string): number {
  let at = start
  if (text.length < 0x7f) target[at++] = text.length
  else {
    target[at++] = 0x7f
    let rest = text.length - 0x7f
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) target[at++] = (rest % 0x80) | 0x80
    target[at++] = rest
  }
  return at + target.write(text, at, 'latin1')
}
