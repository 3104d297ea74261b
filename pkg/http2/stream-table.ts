import { MAX_WINDOW_BYTES } from '#pkg/http2/protocol.ts'
import type { Http2Stream } from '#pkg/http2/stream.ts'

/** Highest number of a stream (RFC 9113, 5.1.1): the same figure as that of windows. */
const LAST_STREAM_ID = MAX_WINDOW_BYTES

/** The streams of a connection, from their headers to their close. Clients open them, with odd numbers that grow. */
export class StreamTable {
  /** How many the peer lets this end open at once. */
  limit = MAX_WINDOW_BYTES
  readonly #streams = new Map<number, Http2Stream>()
  #lastId = 0

  /** Streams open now. */
  get size(): number {
    return this.#streams.size
  }

  /** Of the stream that was opened last. */
  get lastId(): number {
    return this.#lastId
  }

  /** Takes the next number, in the client's role; undefined when the peer takes no more streams, or there are no more numbers. */
  takeId(): number | undefined {
    const id = this.#lastId === 0 ? 1 : this.#lastId + 2
    if (this.#streams.size >= this.limit || id > LAST_STREAM_ID) return undefined
    this.#lastId = id
    return id
  }

  /** The peer, a client, opened a stream with this number. */
  began(id: number): void {
    this.#lastId = id
  }

  /** There was a stream of that number, or there is. */
  wasOpen(id: number): boolean {
    return id % 2 === 1 && id <= this.#lastId
  }

  get(id: number): Http2Stream | undefined {
    return this.#streams.get(id)
  }

  add(stream: Http2Stream): void {
    this.#streams.set(stream.id, stream)
  }

  /** False: it was not there. */
  delete(stream: Http2Stream): boolean {
    return this.#streams.delete(stream.id)
  }

  /** Those that are open now, whatever happens to them meanwhile. */
  list(): readonly Http2Stream[] {
    return [...this.#streams.values()]
  }
}
