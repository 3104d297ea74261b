import { NOTHING } from '#pkg/kine/http2/payload.ts'
import { ErrorCode } from '#pkg/kine/http2/protocol.ts'

/** What a stream tells the one who serves it. */
export interface StreamListener {
  /** Bytes of the request, a view of what the socket read; `ended`: no more will come. */
  onData(bytes: Buffer, ended: boolean): void
  /** What was sent has left; it may go on. */
  onDrain(): void
  /** The stream is over for both sides, in whatever way. Called once, last. */
  onClose(): void
}

/** What a stream uses of its connection. */
export interface ConnectionSide {
  /** Bytes of DATA that the stream may send at once. */
  allowance(stream: ServerStream): number
  sendBlock(streamId: number, block: Buffer, end: boolean): void
  sendData(streamId: number, bytes: Buffer, before?: Buffer): void
  sendReset(streamId: number, errorCode: number): void
  /** Sends what a stream has to send, now or as soon as windows and socket allow. */
  unblock(stream: ServerStream): void
  /** The stream is over. */
  forget(stream: ServerStream): void
}

/** Bytes that wait for the client's window, from which on a stream is not writable until they have left. */
const HIGH_WATER_BYTES = 16 * 1024

/**
 * One request and its answer on a connection.
 *
 * INVARIANTS: what is sent leaves in order; DATA never exceeds the windows that the client granted; after the end of the
 * answer nothing is sent but, if the client was still sending, a reset that says so.
 */
export class ServerStream {
  readonly id: number
  /** Of the request's headers. */
  readonly path: string
  listener: StreamListener | undefined
  /** What the client may still send before it needs a window update. */
  receiveWindow: number
  /** What may still be sent to the client. */
  sendWindow: number
  readonly #connection: ConnectionSide
  #remoteEnded = false
  #headersSent = false
  #ended = false
  #closed = false
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #needsDrain = false
  /** Header block that ends the answer, once everything before it has left. */
  #trailers: Buffer | undefined

  constructor(
    connection: ConnectionSide,
    parts: { readonly id: number; readonly path: string; readonly receiveWindow: number; readonly sendWindow: number },
  ) {
    this.#connection = connection
    this.id = parts.id
    this.path = parts.path
    this.receiveWindow = parts.receiveWindow
    this.sendWindow = parts.sendWindow
  }

  /** Nothing can be sent any more. */
  get closed(): boolean {
    return this.#ended || this.#closed
  }

  get headersSent(): boolean {
    return this.#headersSent
  }

  /** The client may still send. */
  get receiving(): boolean {
    return !this.#remoteEnded && !this.#closed
  }

  /** False while what was sent waits for the client's window. */
  get writable(): boolean {
    return !this.closed && !this.#needsDrain
  }

  /** Sends the response's headers; with `end` they are all of it. */
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

  /** Ends the answer behind what was sent. */
  end(trailers: Buffer): void {
    if (this.closed) return
    this.#ended = true
    this.#trailers = trailers
    if (this.#waitingBytes === 0) this.#sendTrailers()
  }

  /** For the connection: DATA of the request. */
  receive(bytes: Buffer, ended: boolean): void {
    this.#remoteEnded ||= ended
    this.listener?.onData(bytes, ended)
  }

  /** For the connection: sends what windows allow of what waits; false if that was not all. */
  pump(): boolean {
    while (this.#waitingBytes > 0) {
      const allowed = this.#connection.allowance(this)
      const [first] = this.#waiting
      if (allowed <= 0 || first === undefined) break
      const now = first.length <= allowed ? first : first.subarray(0, allowed)
      if (now === first) this.#waiting.shift()
      else this.#waiting[0] = first.subarray(allowed)
      this.#waitingBytes -= now.length
      this.sendWindow -= now.length
      this.#connection.sendData(this.id, now)
    }
    if (this.#waitingBytes > 0) return false
    if (this.#trailers !== undefined) this.#sendTrailers()
    else if (this.#needsDrain) {
      this.#needsDrain = false
      this.listener?.onDrain()
    }
    // The listener may have sent more.
    return this.#waitingBytes === 0
  }

  /** For the connection: the stream is over. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#waiting = []
    this.#waitingBytes = 0
    this.#connection.forget(this)
    this.listener?.onClose()
  }

  #wait(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes >= HIGH_WATER_BYTES) this.#needsDrain = true
  }

  #sendTrailers(): void {
    const block = this.#trailers ?? NOTHING
    this.#trailers = undefined
    this.#connection.sendBlock(this.id, block, true)
    this.#finish()
  }

  /** The answer is sent. A client that has not ended its request is told that the rest is not wanted. */
  #finish(): void {
    if (!this.#remoteEnded) this.#connection.sendReset(this.id, ErrorCode.noError)
    this.close()
  }
}
