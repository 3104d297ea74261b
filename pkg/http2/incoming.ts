import { FloodGuard } from '#pkg/http2/flood-guard.ts'
import { FrameCutter } from '#pkg/http2/frame-cutter.ts'
import type { Frame } from '#pkg/http2/frame-cutter.ts'
import type { FrameWriter } from '#pkg/http2/frame-writer.ts'
import { HeaderBlocks } from '#pkg/http2/header-block.ts'
import type { HeaderBlock } from '#pkg/http2/header-block.ts'
import { HpackDecoder } from '#pkg/http2/hpack.ts'
import type { ConnectionOptions } from '#pkg/http2/options.ts'
import { NOTHING, numberOf, protocolError, unpad } from '#pkg/http2/payload.ts'
import { PING_BYTES } from '#pkg/http2/pings.ts'
import type { Pings } from '#pkg/http2/pings.ts'
import { applySettings } from '#pkg/http2/peer-settings.ts'
import { ErrorCode, Flag, FrameType, Http2Error, MAX_WINDOW_BYTES } from '#pkg/http2/protocol.ts'
import type { ReceiveWindows } from '#pkg/http2/receive-windows.ts'
import type { Sender } from '#pkg/http2/sender.ts'
import type { StreamTable } from '#pkg/http2/stream-table.ts'
import type { Fields, Http2Stream } from '#pkg/http2/stream.ts'

/** The parts of a connection that the peer's frames act on. */
export interface IncomingDeps {
  readonly streams: StreamTable
  readonly writer: FrameWriter
  readonly sender: Sender
  readonly windows: ReceiveWindows
  readonly pings: Pings
  /** The peer opened a stream; it has its listener then. */
  readonly onStream: (id: number, path: string, fields: Fields) => Http2Stream
  /** The peer takes no streams after this one. */
  readonly onGoaway: (lastStreamId: number, errorCode: number) => void
}

/**
 * What the frames of a peer do. INVARIANT: header blocks are decoded in order, wanted or not, since each changes the table of the
 * next.
 */
export class Incoming {
  readonly #options: ConnectionOptions
  readonly #deps: IncomingDeps
  readonly #cutter: FrameCutter
  readonly #blocks = new HeaderBlocks()
  readonly #headers = new HpackDecoder()
  readonly #flood = new FloodGuard()
  /** The peer has acknowledged our settings. */
  #settingsKnown = false

  constructor(options: ConnectionOptions, deps: IncomingDeps) {
    this.#options = options
    this.#deps = deps
    this.#cutter = new FrameCutter({ preface: options.role === 'server', maxFrameBytes: options.maxFrameBytes })
  }

  /** Handles all frames that `chunk` completes. @throws Http2Error when the peer is at fault */
  take(chunk: Buffer): void {
    for (let frame = this.#cutter.push(chunk); frame !== undefined; frame = this.#cutter.next()) this.#onFrame(frame)
  }

  #onFrame(frame: Frame): void {
    if (this.#blocks.open && frame.type !== FrameType.continuation) throw protocolError('a header block is open')
    switch (frame.type) {
      case FrameType.data: {
        this.#onData(frame)
        return
      }
      case FrameType.headers: {
        if (frame.streamId % 2 === 0) throw protocolError('HEADERS of no stream')
        this.#onBlock(this.#blocks.begin(frame))
        return
      }
      case FrameType.continuation: {
        this.#onBlock(this.#blocks.continue(frame))
        return
      }
      case FrameType.windowUpdate: {
        this.#onWindowUpdate(frame)
        return
      }
      default:
        this.#flood.count()
        this.#onIdleFrame(frame)
    }
  }

  /** Frames that move nothing. */
  #onIdleFrame(frame: Frame): void {
    switch (frame.type) {
      case FrameType.rstStream: {
        this.#onReset(frame)
        return
      }
      case FrameType.ping: {
        this.#onPing(frame)
        return
      }
      case FrameType.settings: {
        this.#onSettings(frame)
        return
      }
      case FrameType.goaway: {
        this.#onGoaway(frame)
        return
      }
      case FrameType.pushPromise:
        throw protocolError('nobody may push')
      default:
      // PRIORITY asks nothing of us; unknown types are to be ignored.
    }
  }

  #onData({ flags, streamId, payload }: Frame): void {
    const { streams, windows } = this.#deps
    const stream = streams.get(streamId)
    if (stream === undefined && !streams.wasOpen(streamId)) throw protocolError('DATA of no stream')
    const ended = (flags & Flag.endStream) !== 0
    if (payload.length === 0 && !ended) this.#flood.count()
    windows.received(payload.length)
    // A stream that is over: the peer sent this before it knew.
    if (stream === undefined) return
    if (!stream.receiving) {
      this.#reset(stream, ErrorCode.streamClosed)
      return
    }
    stream.receiveWindow -= payload.length
    // Before it knew our settings, the peer went by the default window, which may be larger (RFC 9113, 6.9.2).
    if (stream.receiveWindow < 0 && this.#settingsKnown) {
      this.#reset(stream, ErrorCode.flowControlError)
      return
    }
    const bytes = unpad(flags, payload)
    // What is no content was read by nobody else.
    const paced = this.#options.duplex !== undefined || stream.listener?.consumes === true
    const read = paced ? payload.length - bytes.length : payload.length
    if (read > 0 && !ended) windows.consumed(stream, read)
    stream.receive(bytes, ended)
  }

  #onBlock(block: HeaderBlock | undefined): void {
    if (block === undefined) return
    const { streamId, endStream, bytes } = block
    const fields: string[] = []
    let path = ''
    this.#headers.decode(bytes, (name, value) => {
      fields.push(name, value)
      if (name === ':path') path = value
    })
    const { streams, writer } = this.#deps
    const known = streams.get(streamId)
    if (known !== undefined) {
      this.#onFurtherHeaders(known, fields, endStream)
      return
    }
    // Headers of a stream that is over.
    if (streams.wasOpen(streamId)) return
    if (this.#options.role === 'client') throw protocolError('HEADERS of no stream')
    streams.began(streamId)
    if (streams.size >= this.#options.maxStreams) {
      writer.reset(streamId, ErrorCode.refusedStream)
      return
    }
    const stream = this.#deps.onStream(streamId, path, fields)
    if (endStream) stream.receive(NOTHING, true)
  }

  /** The headers of an answer, or trailers. */
  #onFurtherHeaders(stream: Http2Stream, fields: Fields, endStream: boolean): void {
    const server = this.#options.role === 'server'
    if (!stream.receiving || (server && !endStream)) {
      this.#reset(stream, ErrorCode.protocolError)
      return
    }
    if (!server) stream.listener?.onHeaders?.(fields, endStream)
    // Trailers of a request: gRPC has none, but they end it.
    if (endStream) stream.receive(NOTHING, true)
  }

  #onWindowUpdate({ streamId, payload }: Frame): void {
    const { streams, sender } = this.#deps
    const increment = numberOf(payload) & MAX_WINDOW_BYTES
    if (streamId === 0) {
      if (increment === 0) throw protocolError('a window update of nothing')
      sender.grant(increment)
      return
    }
    const stream = streams.get(streamId)
    if (stream === undefined) {
      if (!streams.wasOpen(streamId)) throw protocolError('WINDOW_UPDATE of no stream')
      this.#flood.count()
      return
    }
    if (increment === 0) {
      this.#reset(stream, ErrorCode.protocolError)
      return
    }
    stream.sendWindow += increment
    if (stream.sendWindow > MAX_WINDOW_BYTES) {
      this.#reset(stream, ErrorCode.flowControlError)
      return
    }
    if (stream.waitingBytes > 0) sender.unblock(stream)
  }

  #onPing({ flags, streamId, payload }: Frame): void {
    if (streamId !== 0) throw protocolError('PING of a stream')
    if (payload.length !== PING_BYTES) throw new Http2Error(ErrorCode.frameSizeError, 'a PING has 8 bytes')
    if ((flags & Flag.ack) === 0) this.#deps.writer.ping(payload, { answer: true })
    else this.#deps.pings.answered()
  }

  #onSettings({ flags, streamId, payload }: Frame): void {
    if (streamId !== 0) throw protocolError('SETTINGS of a stream')
    if (payload.length % 6 !== 0) throw new Http2Error(ErrorCode.frameSizeError, 'SETTINGS have 6 bytes each')
    if ((flags & Flag.ack) !== 0) {
      this.#settingsKnown = true
      return
    }
    applySettings(payload, { ...this.#deps, flood: this.#flood })
    this.#deps.writer.acknowledgeSettings()
    this.#deps.sender.pump()
  }

  #onGoaway({ streamId, payload }: Frame): void {
    if (streamId !== 0) throw protocolError('GOAWAY of a stream')
    if (payload.length < 8) throw new Http2Error(ErrorCode.frameSizeError, 'a GOAWAY has 8 bytes or more')
    if (this.#options.role === 'server') return
    this.#deps.onGoaway(payload.readUInt32BE(0) & MAX_WINDOW_BYTES, payload.readUInt32BE(4))
  }

  #onReset({ streamId, payload }: Frame): void {
    const { streams } = this.#deps
    if (!streams.wasOpen(streamId)) throw protocolError('RST_STREAM of no stream')
    streams.get(streamId)?.close(numberOf(payload))
  }

  #reset(stream: Http2Stream, errorCode: number): void {
    this.#deps.writer.reset(stream.id, errorCode)
    stream.close(errorCode)
  }
}
