import { Duplex } from 'node:stream'
import { withoutStack } from '#pkg/errors/without-stack.ts'
import { encodeFields } from '#pkg/http2/hpack.ts'
import { NOTHING } from '#pkg/http2/payload.ts'
import { ErrorCode } from '#pkg/http2/protocol.ts'
import type { Fields, Http2Stream, StreamListener } from '#pkg/http2/stream.ts'

/** Names in lower case, with their (last) values. */
export type Headers = Readonly<Record<string, string | undefined>>

/** The stream ended without its end: the peer reset it, or the connection is gone. */
export class StreamResetError extends Error {
  /** Of the peer's RST_STREAM; undefined when the connection was lost. */
  readonly errorCode: number | undefined

  constructor(errorCode: number | undefined) {
    super(errorCode === undefined ? 'connection lost' : `stream reset by the peer, code ${errorCode}`)
    this.name = 'StreamResetError'
    this.errorCode = errorCode
  }
}

/** Bytes that wait inside Node.js's stream for the reader; more waits here and is not granted to the peer again. */
const READ_AHEAD_BYTES = 64 * 1024

/**
 * A stream of a connection as a stream of Node.js. Events beside those of a Duplex: `response` with the headers of an
 * answer, `trailers`.
 *
 * INVARIANTS: the peer is granted what the reader has taken, and no more; what was received before the peer's end is
 * delivered even if the stream is reset after it; a stream that is destroyed before both ends were reached is reset.
 */
export class Http2Duplex extends Duplex implements StreamListener {
  #stream: Http2Stream | undefined
  readonly #received: Buffer[] = []
  #wanted = false
  #remoteEnded = false
  /** The stream does not exist any more. */
  #closed = false
  #drained: (() => void) | undefined
  #responded = false
  #trailers: Buffer = NOTHING
  /** Headers of an answer that has not begun. */
  #answer: Buffer | undefined

  constructor() {
    super({ allowHalfOpen: true, readableHighWaterMark: READ_AHEAD_BYTES, writableHighWaterMark: READ_AHEAD_BYTES })
  }

  /** Joins the two: done once, by who makes this. */
  attach(stream: Http2Stream): this {
    this.#stream = stream
    return this
  }

  /** Headers of the request that the peer opened the stream with. */
  get requestHeaders(): Headers {
    return headersOf(this.#stream?.fields ?? [])
  }

  /** An answer has begun. */
  get headersSent(): boolean {
    return this.#stream?.headersSent ?? false
  }

  /** Begins the answer, in the server's role; `trailers` follow its end, `end` makes these headers all of it. */
  respond(headers: Headers, options: { readonly end?: boolean; readonly trailers?: Headers } = {}): void {
    const { end = false, trailers } = options
    if (trailers !== undefined) this.#trailers = encodeHeaders(trailers)
    this.#stream?.sendHeaders(encodeHeaders(headers), end)
    if (end) this.destroy()
  }

  /** Begins the answer with its first bytes, or with its end, for a peer that waits for neither. `block`: see `encodeHeaders`. */
  respondLater(block: Buffer): void {
    this.#answer = block
  }

  /** The peer may not replace so many of the bytes that were read, until they are granted. */
  withhold(bytes: number): void {
    this.#stream?.withhold(bytes)
  }

  /** Undoes `withhold`. */
  grant(bytes: number): void {
    this.#stream?.grant(bytes)
  }

  onHeaders(fields: Fields): void {
    this.emit(this.#responded ? 'trailers' : 'response', headersOf(fields))
    this.#responded = true
  }

  onData(bytes: Buffer, ended: boolean): void {
    this.#remoteEnded ||= ended
    if (bytes.length > 0) this.#received.push(bytes)
    if (this.#wanted) this.#deliver()
  }

  onDrain(): void {
    const done = this.#drained
    this.#drained = undefined
    done?.()
  }

  onClose(errorCode: number | undefined): void {
    this.#closed = true
    if (this.writableFinished && this.#remoteEnded) return
    // Behind its own end a peer may say so that it wants nothing more.
    const regular = this.#remoteEnded && errorCode === ErrorCode.noError
    const error = regular ? undefined : withoutStack(() => new StreamResetError(errorCode))
    if (!this.#remoteEnded || this.readableEnded) this.destroy(error)
    else {
      // What came before the peer's end is still to be read.
      this.once('end', () => this.destroy(error))
      this.onDrain()
    }
  }

  override _read(): void {
    this.#wanted = true
    this.#deliver()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk, NOTHING)
    this.#whenTaken(done)
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    // A small chunk goes in one frame with the one behind it: the prefix of a packet and its payload.
    let before = NOTHING
    for (const { chunk } of chunks) {
      if (before.length > 0 || chunk.length > MAX_PREFIX_BYTES) {
        this.#send(chunk, before)
        before = NOTHING
      } else before = chunk
    }
    if (before.length > 0) this.#send(before, NOTHING)
    this.#whenTaken(done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#begin()
    this.#stream?.end(this.#trailers)
    // Finished is what has left: those who wait for that must not take silence for the end meanwhile.
    if (this.#closed || (this.#stream?.waitingBytes ?? 0) === 0) done()
    else this.#drained = done
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#received.length = 0
    this.#stream?.reset(error === null ? ErrorCode.noError : ErrorCode.cancel)
    this.onDrain()
    done(error)
  }

  #begin(): void {
    if (this.#answer === undefined) return
    this.#stream?.sendHeaders(this.#answer)
    this.#answer = undefined
  }

  #send(chunk: Buffer, before: Buffer): void {
    this.#begin()
    if (!this.#closed) this.#stream?.send(chunk, before)
  }

  #whenTaken(done: () => void): void {
    if (this.#closed || this.#stream?.writable !== false) done()
    else this.#drained = done
  }

  #deliver(): void {
    for (let chunk = this.#received.shift(); chunk !== undefined; chunk = this.#received.shift()) {
      this.#wanted = this.push(chunk)
      this.#stream?.consumed(chunk.length)
      if (!this.#wanted) return
    }
    if (this.#remoteEnded && !this.destroyed) {
      this.#wanted = false
      this.push(null)
    }
  }
}

const MAX_PREFIX_BYTES = 64

function headersOf(fields: Fields): Headers {
  const headers: Record<string, string> = {}
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const [name, value] = [fields[i] ?? '', fields[i + 1] ?? '']
    const before = headers[name]
    // RFC 9110, section 5.2: fields of one name are a list.
    headers[name] = before === undefined ? value : `${before}, ${value}`
  }
  return headers
}

/** The block of some headers; those without a value are left out. */
export function encodeHeaders(headers: Headers): Buffer {
  return encodeFields(Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined))
}
