import type { FrameWriter } from '#pkg/http2/frame-writer.ts'
import type { ConnectionOptions } from '#pkg/http2/options.ts'
import { DEFAULT_WINDOW_BYTES, ErrorCode, Http2Error } from '#pkg/http2/protocol.ts'
import type { Http2Stream } from '#pkg/http2/stream.ts'

/** What the peer may send: the window of the connection, and those of its streams. */
export class ReceiveWindows {
  readonly #options: ConnectionOptions
  readonly #writer: FrameWriter
  /** Of the connection. */
  #window = DEFAULT_WINDOW_BYTES

  constructor(options: ConnectionOptions, deps: { readonly writer: FrameWriter }) {
    this.#options = options
    this.#writer = deps.writer
  }

  /** Makes the window of the connection as large as the options say: it has no setting. */
  open(): void {
    this.#refill()
  }

  /** DATA of so many bytes arrived on the connection. @throws Http2Error when it was more than allowed */
  received(bytes: number): void {
    this.#window -= bytes
    if (this.#window < 0) throw new Http2Error(ErrorCode.flowControlError, 'more DATA than the window allows')
    if (this.#window < this.#options.connectionWindowBytes / 2) this.#refill()
  }

  /** The listener of a stream is done with bytes that it received: the peer may send as many again. */
  consumed(stream: Http2Stream, bytes: number): void {
    stream.readBytes += bytes
    const { withheldBytes } = stream
    // What is not withheld may be all that the peer can use: it is not kept until it is half a window.
    if (withheldBytes > 0) {
      if (stream.readBytes > withheldBytes) this.#grant(stream, stream.readBytes - withheldBytes)
      return
    }
    if (stream.readBytes < stream.windowBytes / 2) return
    const unread = stream.windowBytes - stream.receiveWindow - stream.readBytes
    const { duplex } = this.#options
    // The reader has kept up while its peer had used most of the window: the window is what limits the two.
    if (duplex !== undefined && unread === 0 && stream.receiveWindow < stream.windowBytes / 4) {
      const more = duplex.budget.take(Math.min(stream.windowBytes, duplex.maxStreamWindowBytes - stream.windowBytes))
      stream.windowBytes += more
      stream.readBytes += more
    }
    this.#grant(stream, stream.readBytes)
  }

  /** The stream is over: what its window had grown by is free again. */
  release(stream: Http2Stream): void {
    const { duplex, streamWindowBytes } = this.#options
    duplex?.budget.give(stream.windowBytes - streamWindowBytes)
  }

  #grant(stream: Http2Stream, bytes: number): void {
    this.#writer.windowUpdate(stream.id, bytes)
    stream.receiveWindow += bytes
    stream.readBytes -= bytes
  }

  #refill(): void {
    const { connectionWindowBytes } = this.#options
    this.#writer.windowUpdate(0, connectionWindowBytes - this.#window)
    this.#window = connectionWindowBytes
  }
}
