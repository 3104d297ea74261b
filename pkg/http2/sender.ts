import type { Output } from '#pkg/http2/output.ts'
import {
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Http2Error,
  MAX_WINDOW_BYTES,
} from '#pkg/http2/protocol.ts'
import type { Http2Stream } from '#pkg/http2/stream.ts'

/** Streams that have something to send take turns of this many bytes. */
const TURN_BYTES = 64 * 1024

/**
 * Who may send DATA, and how much. INVARIANT: a stream that has something to send and a window for it is among those whose
 * turn comes.
 */
export class Sender {
  /** First window of a stream, as the peer set it. */
  streamWindowBytes = DEFAULT_WINDOW_BYTES
  /** Largest payload that the peer takes. */
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES
  readonly #output: Output
  readonly #ready = new Set<Http2Stream>()
  /** Of the connection. */
  #window = DEFAULT_WINDOW_BYTES

  constructor(output: Output) {
    this.#output = output
  }

  /** Bytes of DATA that the stream may send at once. */
  allowance(stream: Http2Stream): number {
    if (this.#output.congested) return 0
    return Math.min(stream.sendWindow, this.#window, this.maxFrameBytes)
  }

  /** A stream sent so many bytes. */
  sent(bytes: number): void {
    this.#window -= bytes
  }

  /** The peer takes more on this connection. @throws Http2Error */
  grant(increment: number): void {
    this.#window += increment
    if (this.#window > MAX_WINDOW_BYTES) throw new Http2Error(ErrorCode.flowControlError, 'window too large')
    this.pump()
  }

  /** The peer set another first window, which holds for the streams that are open too (RFC 9113, 6.9.2). */
  resizeWindows(bytes: number, open: readonly Http2Stream[]): void {
    for (const stream of open) {
      stream.sendWindow += bytes - this.streamWindowBytes
      this.enqueue(stream)
    }
    this.streamWindowBytes = bytes
  }

  /** Sends what a stream has to send, now or as soon as windows and socket allow. */
  unblock(stream: Http2Stream): void {
    // Those that waited before take their turn first.
    if (this.#ready.size === 0 && stream.pump(TURN_BYTES)) return
    this.enqueue(stream)
  }

  /** A stream whose window changed gets its turn, if it has something to send. */
  enqueue(stream: Http2Stream): void {
    if (stream.waitingBytes > 0 && stream.sendWindow > 0) this.#ready.add(stream)
  }

  /** Lets those that wait send, in turns. */
  pump(): void {
    for (const stream of this.#ready) {
      if (this.#window <= 0 || this.#output.congested) return
      this.#ready.delete(stream)
      // Added again it takes its next turn behind the others, in this same loop.
      if (!stream.pump(TURN_BYTES) && stream.sendWindow > 0) this.#ready.add(stream)
    }
  }

  /** The stream is over. */
  forget(stream: Http2Stream): void {
    this.#ready.delete(stream)
  }
}
