import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { Connection } from '#pkg/http2/connection.ts'
import { encodeHeaders, Http2Duplex } from '#pkg/http2/duplex.ts'
import type { Headers } from '#pkg/http2/duplex.ts'
import type { ConnectionOptions } from '#pkg/http2/options.ts'

/** A session takes no further streams: it is closing, or its peer has as many as it wants. */
export class SessionRefusedError extends Error {
  constructor() {
    super('the session takes no further streams')
    this.name = 'SessionRefusedError'
  }
}

/**
 * One end of an HTTP/2 connection whose streams are streams of Node.js, with flow control by what is read. Names follow
 * node:http2. Events: `stream` (Http2Duplex, Headers), `goaway` (code), `error`, and `close` last.
 */
export class Http2Session<S extends Socket = Socket> extends EventEmitter {
  readonly socket: S
  readonly #connection: Connection
  #closed = false

  constructor(socket: S, options: ConnectionOptions) {
    super()
    this.socket = socket
    this.#connection = new Connection(socket, options, {
      onStream: (raw) => {
        const stream = new Http2Duplex().attach(raw)
        this.emit('stream', stream, stream.requestHeaders)
        return stream
      },
      onGoaway: (errorCode) => {
        this.#closed = true
        this.emit('goaway', errorCode)
      },
      onClose: (error) => {
        this.#closed = true
        if (error !== undefined && this.listenerCount('error') > 0) this.emit('error', error)
        this.emit('close')
      },
    })
  }

  /** No new streams. */
  get closed(): boolean {
    return this.#closed || this.destroyed
  }

  /** The socket is gone. */
  get destroyed(): boolean {
    return this.socket.destroyed
  }

  /** Streams open now. */
  get streams(): number {
    return this.#connection.streams
  }

  /** Opens a stream, in the client's role. @throws SessionRefusedError */
  request(headers: Headers): Http2Duplex {
    const stream = new Http2Duplex()
    const raw = this.closed ? undefined : this.#connection.open(encodeHeaders(headers), stream)
    if (raw === undefined) throw new SessionRefusedError()
    return stream.attach(raw)
  }

  /** Measures a round trip, milliseconds. False: nothing was sent. */
  ping(onAnswer: (durationMs: number) => void): boolean {
    return !this.destroyed && this.#connection.ping(onAnswer)
  }

  /** Takes no new streams and ends with the last one that is open. */
  close(): void {
    this.#closed = true
    this.#connection.close()
  }

  /** Cuts the connection. */
  destroy(error?: Error): void {
    this.#connection.destroy(error)
  }
}
