import type { Socket } from 'node:net'
import { FloodGuard } from '#pkg/http2/flood-guard.ts'
import { FrameCutter } from '#pkg/http2/frame-cutter.ts'
import type { Frame } from '#pkg/http2/frame-cutter.ts'
import { HeaderBlocks } from '#pkg/http2/header-block.ts'
import type { HeaderBlock } from '#pkg/http2/header-block.ts'
import { HpackDecoder } from '#pkg/http2/hpack.ts'
import type { ConnectionOptions } from '#pkg/http2/options.ts'
import { Output } from '#pkg/http2/output.ts'
import {
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FrameType,
  Http2Error,
  MAX_WINDOW_BYTES,
  PREFACE,
  Setting,
} from '#pkg/http2/protocol.ts'
import { NOTHING, numberOf, protocolError, unpad } from '#pkg/http2/payload.ts'
import { Http2Stream } from '#pkg/http2/stream.ts'
import type { ConnectionSide, Fields, StreamListener } from '#pkg/http2/stream.ts'

/** Of a stream that the peer may not know, in a GOAWAY that only announces the end. */
const ALL_STREAMS = MAX_WINDOW_BYTES
/** Tells the peer that the encoder's table is empty (RFC 7541, 6.3), which it always is. */
const EMPTY_TABLE: Buffer = Buffer.from([0x20])
/** Streams that have something to send take turns of this many bytes. */
const TURN_BYTES = 64 * 1024
const PING_BYTES = 8
const PING_PAYLOAD: Buffer = Buffer.alloc(PING_BYTES)
/** A new window for so many streams is about as much work as another frame. */
const STREAMS_OF_A_FRAME = 32
/** A peer that answers no PING makes no queue of them. */
const MAX_PINGS = 16

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
 * INVARIANTS: header blocks are decoded in order, wanted or not, since each changes the table of the next; a stream is in
 * `#streams` from its headers to its close; a stream that has something to send and a window for it is in `#ready`.
 */
export class Connection implements ConnectionSide {
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #deps: ConnectionDeps
  readonly #output: Output
  readonly #cutter: FrameCutter
  readonly #blocks = new HeaderBlocks()
  readonly #headers = new HpackDecoder()
  readonly #flood = new FloodGuard()
  readonly #streams = new Map<number, Http2Stream>()
  readonly #ready = new Set<Http2Stream>()
  /** Those without an answer yet, oldest first: they are answered in order. */
  readonly #pings: (() => void)[] = []
  /** Of the streams that clients open: the last one begun. */
  #lastStreamId = 0
  #receiveWindow = DEFAULT_WINDOW_BYTES
  #sendWindow = DEFAULT_WINDOW_BYTES
  #peerWindowBytes = DEFAULT_WINDOW_BYTES
  #peerFrameBytes = DEFAULT_MAX_FRAME_BYTES
  #peerStreams = MAX_WINDOW_BYTES
  #tableUpdate = false
  /** The peer has acknowledged our settings. */
  #settingsKnown = false
  #closing = false
  #error: Error | undefined

  constructor(socket: Socket, options: ConnectionOptions, deps: ConnectionDeps) {
    this.#socket = socket
    this.#options = options
    this.#deps = deps
    this.#cutter = new FrameCutter({ preface: options.role === 'server', maxFrameBytes: options.maxFrameBytes })
    this.#output = new Output(socket, options, () => this.#pump())
    this.#sendSettings()
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('drain', () => this.#pump())
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
    this.#goaway(ErrorCode.noError, this.#options.role === 'server' ? ALL_STREAMS : 0)
    this.#endIfIdle()
  }

  /** Cuts the connection; its streams get `error`. */
  destroy(error?: Error): void {
    this.#error ??= error
    this.#socket.destroy()
  }

  /** Opens a stream with its headers, in the client's role; undefined when the peer takes no more. */
  open(block: Buffer, listener: StreamListener): Http2Stream | undefined {
    const id = this.#lastStreamId === 0 ? 1 : this.#lastStreamId + 2
    if (this.#closing || this.#socket.destroyed || this.#streams.size >= this.#peerStreams || id > MAX_WINDOW_BYTES)
      return undefined
    this.#lastStreamId = id
    const stream = this.#addStream(id, '', [])
    stream.listener = listener
    stream.sendHeaders(block)
    return stream
  }

  /** Sends a PING; `onAnswer` gets the round trip. False when several are without an answer. */
  ping(onAnswer: (durationMs: number) => void): boolean {
    if (this.#pings.length >= MAX_PINGS) return false
    const sentAt = performance.now()
    this.#pings.push(() => onAnswer(performance.now() - sentAt))
    this.#output.send(FrameType.ping, 0, 0, PING_PAYLOAD)
    return true
  }

  allowance(stream: Http2Stream): number {
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

  sendEnd(streamId: number): void {
    this.#output.send(FrameType.data, Flag.endStream, streamId, NOTHING)
  }

  sendReset(streamId: number, errorCode: number): void {
    this.#sendNumber(FrameType.rstStream, streamId, errorCode)
  }

  unblock(stream: Http2Stream): void {
    // Those that waited before take their turn first.
    if (this.#ready.size === 0 && stream.pump(TURN_BYTES)) return
    if (stream.waitingBytes > 0 && stream.sendWindow > 0) this.#ready.add(stream)
  }

  consumed(stream: Http2Stream, bytes: number): void {
    stream.readBytes += bytes
    if (stream.readBytes < stream.windowBytes / 2) return
    const unread = stream.windowBytes - stream.receiveWindow - stream.readBytes
    const { duplex } = this.#options
    // The reader has kept up while its peer had used most of the window: the window is what limits the two.
    if (duplex !== undefined && unread === 0 && stream.receiveWindow < stream.windowBytes / 4) {
      const more = duplex.budget.take(Math.min(stream.windowBytes, duplex.maxStreamWindowBytes - stream.windowBytes))
      stream.windowBytes += more
      stream.readBytes += more
    }
    this.#sendNumber(FrameType.windowUpdate, stream.id, stream.readBytes)
    stream.receiveWindow += stream.readBytes
    stream.readBytes = 0
  }

  forget(stream: Http2Stream): void {
    if (!this.#streams.delete(stream.id)) return
    this.#ready.delete(stream)
    const { duplex, streamWindowBytes } = this.#options
    duplex?.budget.give(stream.windowBytes - streamWindowBytes)
    this.#endIfIdle()
  }

  #onData(chunk: Buffer): void {
    if (this.#error !== undefined) return
    try {
      for (let frame = this.#cutter.push(chunk); frame !== undefined; frame = this.#cutter.next()) this.#onFrame(frame)
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error
      this.#fail(error)
    }
  }

  #onFrame(frame: Frame): void {
    if (this.#blocks.open && frame.type !== FrameType.continuation) throw protocolError('a header block is open')
    switch (frame.type) {
      case FrameType.data: {
        this.#onDataFrame(frame)
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
      case FrameType.rstStream: {
        this.#flood.count()
        this.#onReset(frame)
        return
      }
      default:
        this.#flood.count()
        this.#onOtherFrame(frame)
    }
  }

  #onOtherFrame(frame: Frame): void {
    switch (frame.type) {
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

  #onDataFrame({ flags, streamId, payload }: Frame): void {
    const stream = this.#streams.get(streamId)
    if (stream === undefined && !this.#wasOpen(streamId)) throw protocolError('DATA of no stream')
    const ended = (flags & Flag.endStream) !== 0
    if (payload.length === 0 && !ended) this.#flood.count()
    this.#receiveWindow -= payload.length
    if (this.#receiveWindow < 0) throw new Http2Error(ErrorCode.flowControlError, 'more DATA than the window allows')
    const { connectionWindowBytes } = this.#options
    if (this.#receiveWindow < connectionWindowBytes / 2) {
      this.#sendNumber(FrameType.windowUpdate, 0, connectionWindowBytes - this.#receiveWindow)
      this.#receiveWindow = connectionWindowBytes
    }
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
    if (read > 0 && !ended) this.consumed(stream, read)
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
    const known = this.#streams.get(streamId)
    if (known !== undefined) {
      this.#onFurtherHeaders(known, fields, endStream)
      return
    }
    // Headers of a stream that is over.
    if (this.#wasOpen(streamId)) return
    if (this.#options.role === 'client') throw protocolError('HEADERS of no stream')
    this.#lastStreamId = streamId
    if (this.#streams.size >= this.#options.maxStreams) {
      this.sendReset(streamId, ErrorCode.refusedStream)
      return
    }
    const stream = this.#addStream(streamId, path, fields)
    stream.listener = this.#deps.onStream(stream)
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
    const increment = numberOf(payload) & MAX_WINDOW_BYTES
    if (streamId === 0) {
      if (increment === 0) throw protocolError('a window update of nothing')
      this.#sendWindow += increment
      if (this.#sendWindow > MAX_WINDOW_BYTES) throw new Http2Error(ErrorCode.flowControlError, 'window too large')
      this.#pump()
      return
    }
    const stream = this.#streams.get(streamId)
    if (stream === undefined) {
      if (!this.#wasOpen(streamId)) throw protocolError('WINDOW_UPDATE of no stream')
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
    if (stream.waitingBytes > 0) this.unblock(stream)
  }

  #onPing({ flags, streamId, payload }: Frame): void {
    if (streamId !== 0) throw protocolError('PING of a stream')
    if (payload.length !== PING_BYTES) throw new Http2Error(ErrorCode.frameSizeError, 'a PING has 8 bytes')
    if ((flags & Flag.ack) === 0) this.#output.send(FrameType.ping, Flag.ack, 0, payload)
    else this.#pings.shift()?.()
  }

  #onSettings({ flags, streamId, payload }: Frame): void {
    if (streamId !== 0) throw protocolError('SETTINGS of a stream')
    if (payload.length % 6 !== 0) throw new Http2Error(ErrorCode.frameSizeError, 'SETTINGS have 6 bytes each')
    if ((flags & Flag.ack) !== 0) {
      this.#settingsKnown = true
      return
    }
    for (let at = 0; at < payload.length; at += 6) this.#set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2))
    this.#output.send(FrameType.settings, Flag.ack, 0, NOTHING)
    this.#pump()
  }

  #set(setting: number, value: number): void {
    if (setting === Setting.initialWindowSize) {
      if (value > MAX_WINDOW_BYTES) throw new Http2Error(ErrorCode.flowControlError, 'window too large')
      this.#flood.count(1 + this.#streams.size / STREAMS_OF_A_FRAME)
      for (const stream of this.#streams.values()) {
        stream.sendWindow += value - this.#peerWindowBytes
        if (stream.waitingBytes > 0 && stream.sendWindow > 0) this.#ready.add(stream)
      }
      this.#peerWindowBytes = value
    } else if (setting === Setting.maxFrameSize) {
      if (value < DEFAULT_MAX_FRAME_BYTES || value > 0xff_ffff) throw protocolError('frame size out of range')
      this.#peerFrameBytes = Math.min(value, 8 * DEFAULT_MAX_FRAME_BYTES)
    } else if (setting === Setting.maxConcurrentStreams) this.#peerStreams = value
    else if (setting === Setting.headerTableSize) this.#tableUpdate = true
  }

  #onGoaway({ streamId, payload }: Frame): void {
    if (streamId !== 0) throw protocolError('GOAWAY of a stream')
    if (payload.length < 8) throw new Http2Error(ErrorCode.frameSizeError, 'a GOAWAY has 8 bytes or more')
    if (this.#options.role === 'server') return
    this.#closing = true
    const last = payload.readUInt32BE(0) & MAX_WINDOW_BYTES
    const errorCode = payload.readUInt32BE(4)
    for (const stream of [...this.#streams.values()]) if (stream.id > last) stream.close(ErrorCode.refusedStream)
    this.#deps.onGoaway?.(errorCode)
    this.#endIfIdle()
  }

  #onReset({ streamId, payload }: Frame): void {
    if (!this.#wasOpen(streamId)) throw protocolError('RST_STREAM of no stream')
    this.#streams.get(streamId)?.close(numberOf(payload))
  }

  #addStream(id: number, path: string, fields: Fields): Http2Stream {
    const { streamWindowBytes: receiveWindow, duplex } = this.#options
    const windows = { receiveWindow, sendWindow: this.#peerWindowBytes }
    const stream = new Http2Stream(this, { id, path, fields, ...windows, halfClose: duplex !== undefined })
    this.#streams.set(id, stream)
    return stream
  }

  /** Clients open streams with odd numbers, each higher than the last. */
  #wasOpen(streamId: number): boolean {
    return streamId % 2 === 1 && streamId <= this.#lastStreamId
  }

  #reset(stream: Http2Stream, errorCode: number): void {
    this.sendReset(stream.id, errorCode)
    stream.close(errorCode)
  }

  #pump(): void {
    for (const stream of this.#ready) {
      if (this.#sendWindow <= 0 || this.#output.congested) return
      this.#ready.delete(stream)
      // Added again it takes its next turn behind the others, in this same loop.
      if (!stream.pump(TURN_BYTES) && stream.sendWindow > 0) this.#ready.add(stream)
    }
  }

  #sendSettings(): void {
    const { role, maxStreams, streamWindowBytes, maxFrameBytes, connectionWindowBytes } = this.#options
    if (role === 'client') this.#output.raw(PREFACE)
    const settings: (readonly [number, number])[] = [
      [Setting.maxConcurrentStreams, role === 'client' ? 0 : maxStreams],
      [Setting.initialWindowSize, streamWindowBytes],
    ]
    if (maxFrameBytes !== DEFAULT_MAX_FRAME_BYTES) settings.push([Setting.maxFrameSize, maxFrameBytes])
    if (role === 'client') settings.push([Setting.enablePush, 0])
    const { buffer, at } = this.#output.frame(FrameType.settings, 0, 0, 6 * settings.length)
    for (const [i, [setting, value]] of settings.entries()) {
      buffer.writeUInt16BE(setting, at + 6 * i)
      buffer.writeUInt32BE(value, at + 6 * i + 2)
    }
    this.#sendNumber(FrameType.windowUpdate, 0, connectionWindowBytes - this.#receiveWindow)
    this.#receiveWindow = connectionWindowBytes
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
    this.#error = error
    this.#goaway(error.errorCode, this.#options.role === 'server' ? this.#lastStreamId : 0)
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
    for (const stream of [...this.#streams.values()]) stream.close(undefined)
    this.#pings.length = 0
    this.#deps.onClose(this.#error)
  }
}
