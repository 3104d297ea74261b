import { NOTHING } from '#pkg/http2/payload.ts'
import { ErrorCode } from '#pkg/http2/protocol.ts'

/** Names and values in turn, as they came: `[':path', '/x', 'content-type', …]`. */
export type Fields = readonly string[]

/** What a stream tells the one who serves it. */
export interface StreamListener {
  /** It says when it is done with bytes (`Http2Stream.consumed`), also where a connection takes that for granted. */
  readonly consumes?: boolean
  /** Headers or trailers of an answer, in the client's role; `ended`: nothing follows. */
  onHeaders?(fields: Fields, ended: boolean): void
  /** Bytes from the peer, a view of what the socket read; `ended`: no more will come. */
  onData(bytes: Buffer, ended: boolean): void
  /** What was sent has left, its end included; it may go on. */
  onDrain(): void
  /** The stream is over for both sides, in whatever way; `errorCode` if the peer reset it. Called once, last. */
  onClose(errorCode: number | undefined): void
}

/** What a stream uses of its connection. */
export interface ConnectionSide {
  /** Bytes of DATA that the stream may send at once. */
  allowance(stream: Http2Stream): number
  sendBlock(streamId: number, block: Buffer, end: boolean): void
  sendData(streamId: number, bytes: Buffer, before?: Buffer): void
  /** An empty DATA frame that ends our direction. */
  sendEnd(streamId: number): void
  sendReset(streamId: number, errorCode: number): void
  /** Sends what a stream has to send, now or as soon as windows and socket allow. */
  unblock(stream: Http2Stream): void
  /** The listener is done with bytes that it received: the peer may send as many again. */
  consumed(stream: Http2Stream, bytes: number): void
  /** The stream is over. */
  forget(stream: Http2Stream): void
}

/** What a stream begins with. */
export interface StreamParts {
  readonly id: number
  readonly path: string
  readonly fields: Fields
  readonly receiveWindow: number
  readonly sendWindow: number
  /** After our end the peer may go on; without it, an answer that is complete ends the stream. */
  readonly halfClose: boolean
}

/** Bytes that wait for the peer's window, from which on a stream is not writable until they have left. */
const HIGH_WATER_BYTES = 16 * 1024

/**
 * One stream of a connection: a request and its answer, or bytes in both directions.
 *
 * INVARIANTS: what is sent leaves in order; DATA never exceeds the windows that the peer granted; after the end nothing is
 * sent but, where the peer may not go on sending, a reset that says so.
 */
export class Http2Stream {
  readonly id: number
  /** Of the request's headers, empty on a stream that this side opened. */
  readonly path: string
  /** Of the request's headers, empty on a stream that this side opened. */
  readonly fields: Fields
  listener: StreamListener | undefined
  /** For the connection: what the peer may still send before it needs a window update. */
  receiveWindow: number
  /** For the connection: the size of that window when nothing waits to be read. */
  windowBytes: number
  /** For the connection: bytes that were read since the last update. */
  readBytes = 0
  /** For the connection: of those, what the peer is not to replace yet. */
  withheldBytes = 0
  /** For the connection: what may still be sent to the peer. */
  sendWindow: number
  readonly #connection: ConnectionSide
  readonly #halfClose: boolean
  #remoteEnded = false
  #headersSent = false
  /** `end` was called. */
  #ended = false
  /** END_STREAM was sent. */
  #endSent = false
  #closed = false
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #needsDrain = false
  /** Header block that ends our direction, or NOTHING for an empty DATA, once everything before it has left. */
  #trailers: Buffer | undefined

  constructor(connection: ConnectionSide, parts: StreamParts) {
    this.#connection = connection
    this.#halfClose = parts.halfClose
    this.id = parts.id
    this.path = parts.path
    this.fields = parts.fields
    this.receiveWindow = this.windowBytes = parts.receiveWindow
    this.sendWindow = parts.sendWindow
  }

  /** Nothing can be sent any more. */
  get closed(): boolean {
    return this.#ended || this.#closed
  }

  get headersSent(): boolean {
    return this.#headersSent
  }

  /** The peer may still send. */
  get receiving(): boolean {
    return !this.#remoteEnded && !this.#closed
  }

  /** False while what was sent waits for the peer's window. */
  get writable(): boolean {
    return !this.closed && !this.#needsDrain
  }

  /** Bytes that wait for the peer's window or for the socket. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Sends the first headers; with `end` they are all of it. */
  sendHeaders(block: Buffer, end = false): void {
    if (this.closed) return
    this.#headersSent = true
    this.#ended = end
    this.#connection.sendBlock(this.id, block, end)
    if (end) this.#finish()
  }

  /** Sends bytes, with a few others before them; they must not change afterwards. */
  send(bytes: Buffer, before: Buffer = NOTHING): void {
    if (this.closed) return
    const length = before.length + bytes.length
    if (this.#waitingBytes === 0 && length <= this.#connection.allowance(this)) {
      this.sendWindow -= length
      this.#connection.sendData(this.id, bytes, before)
      return
    }
    this.#wait(before)
    this.#wait(bytes)
    this.#connection.unblock(this)
  }

  /** Ends our direction behind what was sent, with trailers if there are any. */
  end(trailers: Buffer = NOTHING): void {
    if (this.closed) return
    this.#ended = true
    this.#trailers = trailers
    if (this.#waitingBytes === 0) this.#sendEnd()
  }

  /** Ends the stream at once; what waits is dropped. */
  reset(errorCode: number): void {
    if (this.#closed) return
    this.#connection.sendReset(this.id, errorCode)
    this.close(undefined)
  }

  /** The listener is done with bytes that it received; needed where the connection does not assume it. */
  consumed(bytes: number): void {
    if (this.receiving) this.#connection.consumed(this, bytes)
  }

  /** So many of the bytes that were received, or will be said to be consumed, are not granted to the peer again. */
  withhold(bytes: number): void {
    this.withheldBytes += bytes
  }

  /** Undoes `withhold`: the peer is granted as many at once. */
  grant(bytes: number): void {
    this.withheldBytes -= bytes
    this.consumed(0)
  }

  /** For the connection: DATA, or the end of the peer's direction. */
  receive(bytes: Buffer, ended: boolean): void {
    this.#remoteEnded ||= ended
    this.listener?.onData(bytes, ended)
    if (this.#remoteEnded && this.#endSent) this.close(undefined)
  }

  /** For the connection: sends what windows allow of what waits, at most about `quantum`; false if that was not all. */
  pump(quantum: number): boolean {
    let left = quantum
    while (this.#waitingBytes > 0 && left > 0) {
      const allowed = this.#connection.allowance(this)
      const [first] = this.#waiting
      if (allowed <= 0 || first === undefined) break
      const now = first.length <= allowed ? first : first.subarray(0, allowed)
      if (now === first) this.#waiting.shift()
      else this.#waiting[0] = first.subarray(allowed)
      this.#waitingBytes -= now.length
      this.sendWindow -= now.length
      left -= now.length
      this.#connection.sendData(this.id, now)
    }
    if (this.#waitingBytes > 0) return false
    const drained = this.#needsDrain || this.#trailers !== undefined
    this.#needsDrain = false
    if (this.#trailers !== undefined) this.#sendEnd()
    if (drained) this.listener?.onDrain()
    // The listener may have sent more.
    return this.#waitingBytes === 0
  }

  /** For the connection: the stream is over. */
  close(errorCode: number | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#waiting = []
    this.#waitingBytes = 0
    this.#connection.forget(this)
    this.listener?.onClose(errorCode)
  }

  #wait(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes >= HIGH_WATER_BYTES) this.#needsDrain = true
  }

  #sendEnd(): void {
    const block = this.#trailers ?? NOTHING
    this.#trailers = undefined
    if (block.length > 0) this.#connection.sendBlock(this.id, block, true)
    else this.#connection.sendEnd(this.id)
    this.#finish()
  }

  #finish(): void {
    this.#endSent = true
    if (!this.#remoteEnded) {
      if (this.#halfClose) return
      // The answer is sent. A client that has not ended its request is told that the rest is not wanted.
      this.#connection.sendReset(this.id, ErrorCode.noError)
    }
    this.close(undefined)
  }
}
