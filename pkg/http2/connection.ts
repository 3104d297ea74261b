import type { Socket } from 'node:net'
import { FrameWriter } from '#pkg/http2/frame-writer.ts'
import { Incoming } from '#pkg/http2/incoming.ts'
import type { ConnectionOptions } from '#pkg/http2/options.ts'
import { Output } from '#pkg/http2/output.ts'
import { NOTHING } from '#pkg/http2/payload.ts'
import { Pings } from '#pkg/http2/pings.ts'
import {
  DEFAULT_MAX_FRAME_BYTES,
  ErrorCode,
  Http2Error,
  MAX_WINDOW_BYTES,
  PREFACE,
  Setting,
} from '#pkg/http2/protocol.ts'
import { ReceiveWindows } from '#pkg/http2/receive-windows.ts'
import { Sender } from '#pkg/http2/sender.ts'
import { StreamTable } from '#pkg/http2/stream-table.ts'
import { Http2Stream } from '#pkg/http2/stream.ts'
import type { ConnectionSide, Fields, StreamListener } from '#pkg/http2/stream.ts'

/** Of a stream that the peer may not know, in a GOAWAY that only announces the end. */
const ALL_STREAMS = MAX_WINDOW_BYTES

/** Time for a peer at fault to read the GOAWAY that says so. */
const FAILED_GRACE_MS = 1_000

/** Who serves the streams of a connection, and hears of its end. */
export interface ConnectionDeps {
  /** A stream that the peer opened: clients do. */
  readonly onStream: (stream: Http2Stream) => StreamListener
  /** The peer takes no further streams. */
  readonly onGoaway?: (errorCode: number) => void
  /** Called once; `error` if this end found the peer at fault. */
  readonly onClose: (error: Error | undefined) => void
}

/**
 * One end of an HTTP/2 connection (RFC 9113): what gRPC and the tunnel need of it, so no push and no priorities. All of a
 * chunk's frames are handled in one go, and all that they cause to be sent leaves in one write. The socket is always read:
 * what a peer may send is bounded by windows, and what it makes us answer by `maxWaitingBytes`.
 *
 * INVARIANT: a stream is in `#streams` from its headers to its close.
 */
export class Connection implements ConnectionSide {
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #deps: ConnectionDeps
  readonly #output: Output
  readonly #writer: FrameWriter
  readonly #sender: Sender
  readonly #windows: ReceiveWindows
  readonly #pings: Pings
  readonly #incoming: Incoming
  readonly #streams = new StreamTable()
  #closing = false
  #error: Error | undefined

  constructor(socket: Socket, options: ConnectionOptions, deps: ConnectionDeps) {
    this.#socket = socket
    this.#options = options
    this.#deps = deps
    this.#output = new Output(socket, options, () => this.#sender.pump())
    this.#writer = new FrameWriter(this.#output)
    this.#sender = new Sender(this.#output)
    this.#windows = new ReceiveWindows(options, { writer: this.#writer })
    this.#pings = new Pings({ writer: this.#writer })
    this.#incoming = new Incoming(options, {
      streams: this.#streams,
      writer: this.#writer,
      sender: this.#sender,
      windows: this.#windows,
      pings: this.#pings,
      onStream: (id, path, fields) => this.#onStream(id, path, fields),
      onGoaway: (lastStreamId, errorCode) => this.#onGoaway(lastStreamId, errorCode),
    })
    this.#greet()
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('drain', () => this.#sender.pump())
    socket.on('error', (error) => {
      this.#error ??= error
      socket.destroy()
    })
    socket.on('close', () => this.#onClose())
  }

  /** Streams open now. */
  get streams(): number {
    return this.#streams.size
  }

  /** No new streams; the socket ends with the last one that runs. */
  close(): void {
    if (this.#closing) return
    this.#closing = true
    this.#writer.goaway(ErrorCode.noError, this.#options.role === 'server' ? ALL_STREAMS : 0)
    this.#endIfIdle()
  }

  /** Cuts the connection; its streams get `error`. */
  destroy(error?: Error): void {
    this.#error ??= error
    this.#socket.destroy()
  }

  /** Opens a stream with its headers, in the client's role; undefined when the peer takes no more. */
  open(block: Buffer, listener: StreamListener): Http2Stream | undefined {
    if (this.#closing || this.#socket.destroyed) return undefined
    const id = this.#streams.takeId()
    if (id === undefined) return undefined
    const stream = this.#addStream(id, '', [])
    stream.listener = listener
    stream.sendHeaders(block)
    return stream
  }

  /** Sends a PING; `onAnswer` gets the round trip. False when several are without an answer. */
  ping(onAnswer: (durationMs: number) => void): boolean {
    return this.#pings.send(onAnswer)
  }

  allowance(stream: Http2Stream): number {
    return this.#sender.allowance(stream)
  }

  sendBlock(streamId: number, block: Buffer, end: boolean): void {
    this.#writer.headers(streamId, block, end)
  }

  sendData(streamId: number, bytes: Buffer, before: Buffer = NOTHING): void {
    this.#sender.sent(before.length + bytes.length)
    this.#writer.data(streamId, bytes, before)
  }

  sendEnd(streamId: number): void {
    this.#writer.end(streamId)
  }

  sendReset(streamId: number, errorCode: number): void {
    this.#writer.reset(streamId, errorCode)
  }

  unblock(stream: Http2Stream): void {
    this.#sender.unblock(stream)
  }

  consumed(stream: Http2Stream, bytes: number): void {
    this.#windows.consumed(stream, bytes)
  }

  forget(stream: Http2Stream): void {
    if (!this.#streams.delete(stream)) return
    this.#sender.forget(stream)
    this.#windows.release(stream)
    this.#endIfIdle()
  }

  #greet(): void {
    const { role, maxStreams, streamWindowBytes, maxFrameBytes } = this.#options
    if (role === 'client') this.#output.raw(PREFACE)
    const settings: (readonly [number, number])[] = [
      [Setting.maxConcurrentStreams, role === 'client' ? 0 : maxStreams],
      [Setting.initialWindowSize, streamWindowBytes],
    ]
    if (maxFrameBytes !== DEFAULT_MAX_FRAME_BYTES) settings.push([Setting.maxFrameSize, maxFrameBytes])
    if (role === 'client') settings.push([Setting.enablePush, 0])
    this.#writer.settings(settings)
    this.#windows.open()
  }

  #onData(chunk: Buffer): void {
    if (this.#error !== undefined) return
    try {
      this.#incoming.take(chunk)
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error
      this.#fail(error)
    }
  }

  #onStream(id: number, path: string, fields: Fields): Http2Stream {
    const stream = this.#addStream(id, path, fields)
    stream.listener = this.#deps.onStream(stream)
    return stream
  }

  #onGoaway(lastStreamId: number, errorCode: number): void {
    this.#closing = true
    for (const stream of this.#streams.list()) if (stream.id > lastStreamId) stream.close(ErrorCode.refusedStream)
    this.#deps.onGoaway?.(errorCode)
    this.#endIfIdle()
  }

  #addStream(id: number, path: string, fields: Fields): Http2Stream {
    const { streamWindowBytes: receiveWindow, duplex } = this.#options
    const windows = { receiveWindow, sendWindow: this.#sender.streamWindowBytes }
    const stream = new Http2Stream(this, { id, path, fields, ...windows, halfClose: duplex !== undefined })
    this.#streams.add(stream)
    return stream
  }

  #fail(error: Http2Error): void {
    this.#error = error
    this.#writer.goaway(error.errorCode, this.#options.role === 'server' ? this.#streams.lastId : 0)
    this.#output.flush()
    this.#socket.destroySoon()
    // Who breaks the protocol may also not read what he is told.
    const timer = setTimeout(() => this.#socket.destroy(), FAILED_GRACE_MS)
    this.#socket.once('close', () => clearTimeout(timer))
  }

  #endIfIdle(): void {
    if (!this.#closing || this.#streams.size > 0) return
    this.#output.flush()
    this.#socket.end()
  }

  #onClose(): void {
    // Nothing sends any more: `open` and the streams see a closed socket.
    this.#closing = true
    for (const stream of this.#streams.list()) stream.close(undefined)
    this.#pings.forget()
    this.#deps.onClose(this.#error)
  }
}
