import type { Socket } from 'node:net'
import { FrameCutter } from '#pkg/kine/http2/frame-cutter.ts'
import type { Frame } from '#pkg/kine/http2/frame-cutter.ts'
import { HpackDecoder } from '#pkg/kine/http2/hpack.ts'
import { Output } from '#pkg/kine/http2/output.ts'
import {
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FrameType,
  Http2Error,
  MAX_WINDOW_BYTES,
  Setting,
} from '#pkg/kine/http2/protocol.ts'
import { NOTHING, numberOf, protocolError, unpad } from '#pkg/kine/http2/payload.ts'
import { ServerStream } from '#pkg/kine/http2/stream.ts'
import type { ConnectionSide, StreamListener } from '#pkg/kine/http2/stream.ts'

/** Flow-control windows for what clients send, per stream and per connection; the default of 64 KiB makes a large put stall. */
const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024
/** Header blocks larger than this, compressed, are refused. */
const MAX_BLOCK_BYTES = 64 * 1024
/** Several times what a block of that size needs: frames without payload would otherwise cost a peer nothing, and us memory. */
const MAX_BLOCK_FRAMES = 32
const MAX_STREAMS = MAX_WINDOW_BYTES
/** Of a stream that the client may not know, in a GOAWAY that only announces the end. */
const ALL_STREAMS = MAX_WINDOW_BYTES
/** Tells the peer that the encoder's table is empty (RFC 7541, 6.3), which it always is. */
const EMPTY_TABLE: Buffer = Buffer.from([0x20])

/** Who serves the streams of a connection, and hears of its end. */
export interface ConnectionDeps {
  readonly onStream: (stream: ServerStream) => StreamListener
  readonly onClose: () => void
}

/**
 * The server's side of one HTTP/2 connection (RFC 9113): what gRPC needs of it, so no push and no priorities. All of a
 * chunk's frames are handled in one go, and all that they cause to be sent leaves in one write.
 *
 * INVARIANTS: header blocks are decoded in order, wanted or not, since each changes the table of the next; a stream is in
 * `#streams` from its headers to its close.
 */
export class Connection implements ConnectionSide {
  readonly #socket: Socket
  readonly #deps: ConnectionDeps
  readonly #output: Output
  readonly #cutter = new FrameCutter()
  readonly #headers = new HpackDecoder()
  readonly #streams = new Map<number, ServerStream>()
  /** Streams with DATA that waits for a window or for the socket. */
  readonly #blocked = new Set<ServerStream>()
  #block:
    { readonly streamId: number; readonly endStream: boolean; readonly parts: Buffer[]; bytes: number } | undefined
  #lastStreamId = 0
  #receiveWindow = DEFAULT_WINDOW_BYTES
  #sendWindow = DEFAULT_WINDOW_BYTES
  #peerWindowBytes = DEFAULT_WINDOW_BYTES
  #peerFrameBytes = DEFAULT_MAX_FRAME_BYTES
  #tableUpdate = false
  #closing = false
  #failed = false

  constructor(socket: Socket, deps: ConnectionDeps) {
    this.#socket = socket
    this.#deps = deps
    this.#output = new Output(socket, () => this.#pump())
    this.#sendSettings()
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('drain', () => this.#pump())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#onClose())
  }

  /** No new streams; the socket ends with the last one that runs. */
  close(): void {
    if (this.#closing) return
    this.#closing = true
    this.#goaway(ErrorCode.noError, ALL_STREAMS)
    this.#endIfIdle()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  allowance(stream: ServerStream): number {
    if (this.#output.congested) return 0
    return Math.min(stream.sendWindow, this.#sendWindow, this.#peerFrameBytes)
  }

  sendBlock(streamId: number, block: Buffer, end: boolean): void {
    const flags = Flag.endHeaders | (end ? Flag.endStream : 0)
    const before = this.#tableUpdate ? EMPTY_TABLE : NOTHING
    this.#tableUpdate = false
    this.#output.send(FrameType.headers, flags, streamId, block, before)
  }

  sendData(streamId: number, bytes: Buffer, before: Buffer = NOTHING): void {
    this.#sendWindow -= before.length + bytes.length
    this.#output.send(FrameType.data, 0, streamId, bytes, before)
  }

  sendReset(streamId: number, errorCode: number): void {
    this.#sendNumber(FrameType.rstStream, streamId, errorCode)
  }

  unblock(stream: ServerStream): void {
    if (stream.pump()) this.#blocked.delete(stream)
    else this.#blocked.add(stream)
  }

  forget(stream: ServerStream): void {
    this.#streams.delete(stream.id)
    this.#blocked.delete(stream)
    this.#endIfIdle()
  }

  #onData(chunk: Buffer): void {
    if (this.#failed) return
    try {
      for (let frame = this.#cutter.push(chunk); frame !== undefined; frame = this.#cutter.next()) this.#onFrame(frame)
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error
      this.#fail(error)
    }
  }

  #onFrame(frame: Frame): void {
    if (this.#block !== undefined && frame.type !== FrameType.continuation)
      throw protocolError('a header block is open')
    switch (frame.type) {
      case FrameType.data: {
        this.#onDataFrame(frame)
        return
      }
      case FrameType.headers: {
        this.#onHeaders(frame)
        return
      }
      case FrameType.continuation: {
        this.#onContinuation(frame)
        return
      }
      case FrameType.windowUpdate: {
        this.#onWindowUpdate(frame)
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
      case FrameType.rstStream: {
        this.#onReset(frame)
        return
      }
      case FrameType.pushPromise:
        throw protocolError('a client cannot push')
      default:
      // PRIORITY and GOAWAY ask nothing of a server; unknown types are to be ignored.
    }
  }

  #onDataFrame({ flags, streamId, payload }: Frame): void {
    const stream = this.#streams.get(streamId)
    if (stream === undefined && (streamId === 0 || streamId > this.#lastStreamId))
      throw protocolError('DATA of no stream')
    this.#receiveWindow -= payload.length
    if (this.#receiveWindow < 0) throw new Http2Error(ErrorCode.flowControlError, 'more DATA than the window allows')
    if (this.#receiveWindow < RECEIVE_WINDOW_BYTES / 2) {
      this.#sendNumber(FrameType.windowUpdate, 0, RECEIVE_WINDOW_BYTES - this.#receiveWindow)
      this.#receiveWindow = RECEIVE_WINDOW_BYTES
    }
    // A stream that is over: the client sent this before it knew.
    if (stream === undefined) return
    if (!stream.receiving) {
      this.#reset(stream, ErrorCode.streamClosed)
      return
    }
    stream.receiveWindow -= payload.length
    if (stream.receiveWindow < 0) {
      this.#reset(stream, ErrorCode.flowControlError)
      return
    }
    const ended = (flags & Flag.endStream) !== 0
    if (!ended && stream.receiveWindow < RECEIVE_WINDOW_BYTES / 2) {
      this.#sendNumber(FrameType.windowUpdate, streamId, RECEIVE_WINDOW_BYTES - stream.receiveWindow)
      stream.receiveWindow = RECEIVE_WINDOW_BYTES
    }
    stream.receive(unpad(flags, payload), ended)
  }

  #onHeaders({ flags, streamId, payload }: Frame): void {
    if (streamId % 2 === 0) throw protocolError('HEADERS of no stream')
    const unpadded = unpad(flags, payload)
    const part = (flags & Flag.priority) === 0 ? unpadded : unpadded.subarray(5)
    const endStream = (flags & Flag.endStream) !== 0
    if ((flags & Flag.endHeaders) !== 0) this.#onBlock(streamId, part, endStream)
    else this.#block = { streamId, endStream, parts: [Buffer.from(part)], bytes: part.length }
  }

  #onContinuation({ flags, streamId, payload }: Frame): void {
    const block = this.#block
    if (block?.streamId !== streamId) throw protocolError('CONTINUATION of no header block')
    block.parts.push(Buffer.from(payload))
    block.bytes += payload.length
    if (block.bytes > MAX_BLOCK_BYTES || block.parts.length > MAX_BLOCK_FRAMES)
      throw new Http2Error(ErrorCode.enhanceYourCalm, 'headers too large')
    if ((flags & Flag.endHeaders) === 0) return
    this.#block = undefined
    this.#onBlock(streamId, Buffer.concat(block.parts), block.endStream)
  }

  #onBlock(streamId: number, block: Buffer, endStream: boolean): void {
    let path = ''
    this.#headers.decode(block, (name, value) => {
      if (name === ':path') path = value
    })
    const known = this.#streams.get(streamId)
    if (known !== undefined) {
      // Trailers of a request: gRPC has none, but they end it.
      if (!endStream || !known.receiving) {
        this.#reset(known, ErrorCode.protocolError)
        return
      }
      known.receive(NOTHING, true)
      return
    }
    // Trailers of a stream that is over.
    if (streamId <= this.#lastStreamId) return
    this.#lastStreamId = streamId
    const windows = { receiveWindow: RECEIVE_WINDOW_BYTES, sendWindow: this.#peerWindowBytes }
    const stream = new ServerStream(this, { id: streamId, path, ...windows })
    this.#streams.set(streamId, stream)
    stream.listener = this.#deps.onStream(stream)
    if (endStream) stream.receive(NOTHING, true)
  }

  #onWindowUpdate({ streamId, payload }: Frame): void {
    const increment = numberOf(payload) & MAX_WINDOW_BYTES
    if (streamId === 0) {
      if (increment === 0) throw protocolError('a window update of nothing')
      this.#sendWindow += increment
      if (this.#sendWindow > MAX_WINDOW_BYTES) throw new Http2Error(ErrorCode.flowControlError, 'window too large')
      this.#pump()
      return
    }
    if (streamId > this.#lastStreamId) throw protocolError('WINDOW_UPDATE of no stream')
    const stream = this.#streams.get(streamId)
    if (stream === undefined) return
    if (increment === 0) {
      this.#reset(stream, ErrorCode.protocolError)
      return
    }
    stream.sendWindow += increment
    if (stream.sendWindow > MAX_WINDOW_BYTES) {
      this.#reset(stream, ErrorCode.flowControlError)
      return
    }
    if (this.#blocked.has(stream)) this.unblock(stream)
  }

  #onPing({ flags, streamId, payload }: Frame): void {
    if (streamId !== 0) throw protocolError('PING of a stream')
    if (payload.length !== 8) throw new Http2Error(ErrorCode.frameSizeError, 'a PING has 8 bytes')
    if ((flags & Flag.ack) === 0) this.#output.send(FrameType.ping, Flag.ack, 0, payload)
  }

  #onSettings({ flags, streamId, payload }: Frame): void {
    if (streamId !== 0) throw protocolError('SETTINGS of a stream')
    if (payload.length % 6 !== 0) throw new Http2Error(ErrorCode.frameSizeError, 'SETTINGS have 6 bytes each')
    if ((flags & Flag.ack) !== 0) return
    for (let at = 0; at < payload.length; at += 6) this.#set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2))
    this.#output.send(FrameType.settings, Flag.ack, 0, NOTHING)
    this.#pump()
  }

  #set(setting: number, value: number): void {
    if (setting === Setting.initialWindowSize) {
      if (value > MAX_WINDOW_BYTES) throw new Http2Error(ErrorCode.flowControlError, 'window too large')
      for (const stream of this.#streams.values()) stream.sendWindow += value - this.#peerWindowBytes
      this.#peerWindowBytes = value
    } else if (setting === Setting.maxFrameSize) {
      if (value < DEFAULT_MAX_FRAME_BYTES || value > 0xff_ffff) throw protocolError('frame size out of range')
      this.#peerFrameBytes = Math.min(value, 8 * DEFAULT_MAX_FRAME_BYTES)
    } else if (setting === Setting.headerTableSize) this.#tableUpdate = true
  }

  #onReset({ streamId }: Frame): void {
    if (streamId === 0 || streamId > this.#lastStreamId) throw protocolError('RST_STREAM of no stream')
    this.#streams.get(streamId)?.close()
  }

  #reset(stream: ServerStream, errorCode: number): void {
    this.sendReset(stream.id, errorCode)
    stream.close()
  }

  #pump(): void {
    if (this.#blocked.size === 0) return
    for (const stream of [...this.#blocked]) {
      if (this.#sendWindow <= 0 || this.#output.congested) return
      // Those that get nothing now come first the next time.
      this.#blocked.delete(stream)
      this.unblock(stream)
    }
  }

  #sendSettings(): void {
    const payload = Buffer.alloc(12)
    payload.writeUInt16BE(Setting.maxConcurrentStreams, 0)
    payload.writeUInt32BE(MAX_STREAMS, 2)
    payload.writeUInt16BE(Setting.initialWindowSize, 6)
    payload.writeUInt32BE(RECEIVE_WINDOW_BYTES, 8)
    this.#output.send(FrameType.settings, 0, 0, payload)
    this.#sendNumber(FrameType.windowUpdate, 0, RECEIVE_WINDOW_BYTES - this.#receiveWindow)
    this.#receiveWindow = RECEIVE_WINDOW_BYTES
  }

  #sendNumber(type: number, streamId: number, value: number): void {
    const { buffer, at } = this.#output.frame(type, 0, streamId, 4)
    buffer.writeUInt32BE(value, at)
  }

  #goaway(errorCode: number, lastStreamId: number): void {
    const { buffer, at } = this.#output.frame(FrameType.goaway, 0, 0, 8)
    buffer.writeUInt32BE(lastStreamId, at)
    buffer.writeUInt32BE(errorCode, at + 4)
  }

  #fail(error: Http2Error): void {
    this.#failed = true
    this.#goaway(error.errorCode, this.#lastStreamId)
    this.#output.flush()
    this.#socket.destroySoon()
  }

  #endIfIdle(): void {
    if (!this.#closing || this.#streams.size > 0) return
    this.#output.flush()
    this.#socket.end()
  }

  #onClose(): void {
    for (const stream of [...this.#streams.values()]) stream.close()
    this.#deps.onClose()
  }
}
