import type { Server } from 'node:net'
import { Http2Server } from '#pkg/http2/server.ts'
import type { TlsOptions } from '#pkg/http2/server.ts'
import type { Http2Stream, StreamListener } from '#pkg/http2/stream.ts'
import { Call } from '#pkg/kine/server/call.ts'
import type { StreamedMessage } from '#pkg/kine/server/call.ts'
import { FrameReader } from '#pkg/kine/server/frames.ts'
import { Inbound } from '#pkg/kine/server/inbound.ts'
import { GrpcCode, GrpcError, toStatus } from '#pkg/kine/server/status.ts'
import type { StreamOpener } from '#pkg/kine/server/stream-handler.ts'

export type { TlsOptions } from '#pkg/http2/server.ts'

/** etcd's limit for a received message: 1.5 MiB for a request and 512 KiB for what is around it. */
export const MAX_RECEIVE_BYTES = 2 * 1024 * 1024

/** A call with one request and one answer. */
export type UnaryHandler = (request: Buffer) => Promise<Buffer | StreamedMessage>

/** The methods of the server by path, `/etcdserverpb.KV/Range`. */
export interface Methods {
  readonly unary: ReadonlyMap<string, UnaryHandler>
  readonly streams: ReadonlyMap<string, StreamOpener>
}

/** A call that is over. */
export interface HandledCall {
  readonly path: string
  /** gRPC status code. */
  readonly code: number
  readonly durationMs: number
  /** Bytes of the request, undefined for a stream. */
  readonly requestBytes: number | undefined
}

/** What the server tells others. */
export interface GrpcServerDeps {
  readonly methods: Methods
  /** A call of a method that exists has begun. */
  readonly onStarted: (path: string) => void
  /** It is over. */
  readonly onHandled: (call: HandledCall) => void
}

/**
 * gRPC over HTTP/2 without a framework (docs/adr/0002-kine-raw-http2.md): no compression, no interceptors, one service.
 * PINGs are answered at any rate, as the API server's clients send one every 30 s each.
 */
export class GrpcServer {
  readonly #http2: Http2Server
  readonly #deps: GrpcServerDeps
  readonly #calls = new Set<Call>()
  #stopped = false

  constructor(tls: TlsOptions | undefined, deps: GrpcServerDeps) {
    this.#deps = deps
    this.#http2 = new Http2Server(tls, (stream) => this.#onStream(stream))
  }

  /** To listen on. */
  get server(): Server {
    return this.#http2.server
  }

  /** Open connections. */
  get sessions(): number {
    return this.#http2.connections
  }

  /** Bytes from and to all clients since the start. */
  get traffic(): { readonly receivedBytes: number; readonly sentBytes: number } {
    return this.#http2.traffic
  }

  /** New calls are refused, streams end with `server stopped`; unary calls that run are still answered. */
  stop(): void {
    this.#stopped = true
    for (const call of this.#calls) call.finish(stoppedError())
    this.#http2.close()
  }

  /** Cuts every connection. */
  destroy(): void {
    this.#http2.destroy()
  }

  #onStream(stream: Http2Stream): StreamListener {
    const { path } = stream
    const call = new Call(stream)
    if (this.#stopped) {
      call.finish(stoppedError())
      return NOBODY
    }
    const unary = this.#deps.methods.unary.get(path)
    if (unary !== undefined) {
      return new UnaryListener(call, (message) => void this.#answer(call, path, unary, message))
    }
    const streaming = this.#deps.methods.streams.get(path)
    if (streaming !== undefined) return this.#serveStream(stream, call, streaming)
    call.finish(new GrpcError(GrpcCode.unimplemented, unknownMethod(path)))
    return NOBODY
  }

  async #answer(call: Call, path: string, handler: UnaryHandler, message: Buffer): Promise<void> {
    const startedAt = performance.now()
    this.#deps.onStarted(path)
    let code: number = GrpcCode.ok
    try {
      const reply = await handler(message)
      if (Buffer.isBuffer(reply)) call.reply(reply)
      else await call.replyStreamed(reply)
    } catch (error) {
      code = toStatus(error).grpcCode
      call.finish(error)
    }
    const durationMs = performance.now() - startedAt
    this.#deps.onHandled({ path, code, durationMs, requestBytes: message.length })
  }

  #serveStream(stream: Http2Stream, call: Call, open: StreamOpener): StreamListener {
    const startedAt = performance.now()
    const { path } = stream
    this.#deps.onStarted(path)
    const handler = open(call, () => inbound.read())
    const inbound: Inbound = new Inbound(MAX_RECEIVE_BYTES, { call, handler, allow: (bytes) => stream.consumed(bytes) })
    this.#calls.add(call)
    call.start()
    return {
      consumes: true,
      onData: (bytes, ended) => inbound.push(bytes, ended),
      onDrain: () => {
        call.wake()
        inbound.read()
      },
      onClose: () => {
        this.#calls.delete(call)
        handler.onClose()
        const durationMs = performance.now() - startedAt
        // A stream that ends before it is finished was cancelled by its client.
        this.#deps.onHandled({ path, code: call.code ?? GrpcCode.canceled, durationMs, requestBytes: undefined })
      },
    }
  }
}

/** Reads the one message of a unary call. */
class UnaryListener implements StreamListener {
  readonly #call: Call
  readonly #onMessage: (message: Buffer) => void
  #reader: FrameReader | undefined
  #answering = false

  constructor(call: Call, onMessage: (message: Buffer) => void) {
    this.#call = call
    this.#onMessage = onMessage
  }

  onData(bytes: Buffer, ended: boolean): void {
    if (this.#answering) return
    try {
      this.#reader ??= new FrameReader(MAX_RECEIVE_BYTES)
      this.#reader.push(bytes)
      const message = this.#reader.next()
      if (message === undefined && ended) {
        throw new GrpcError(GrpcCode.internal, 'grpc: client closed the stream without a message')
      }
      if (message === undefined) return
      this.#answering = true
      this.#onMessage(message)
    } catch (error) {
      this.#answering = true
      this.#call.finish(error)
    }
  }

  onDrain(): void {
    this.#call.wake()
  }

  onClose(): void {
    this.#call.wake()
  }
}

/** Listens to a call that was refused at once. */
const NOBODY: StreamListener = { onData: () => undefined, onDrain: () => undefined, onClose: () => undefined }

function stoppedError(): GrpcError {
  return new GrpcError(GrpcCode.unavailable, 'etcdserver: server stopped')
}

function unknownMethod(path: string): string {
  const [, service = '', method = ''] = path.split('/')
  return `unknown method ${method} for service ${service}`
}
