import http2 from 'node:http2'
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import { Call } from '#pkg/kine/server/call.ts'
import type { StreamedMessage } from '#pkg/kine/server/call.ts'
import { FrameReader } from '#pkg/kine/server/frames.ts'
import { GrpcCode, GrpcError, toStatus } from '#pkg/kine/server/status.ts'

/** etcd's limit for a received message: 1.5 MiB for a request and 512 KiB for what is around it. */
export const MAX_RECEIVE_BYTES = 2 * 1024 * 1024
/** Flow-control windows for what clients send, per stream and per connection; Node's 64 KiB makes a large put stall. */
const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024
/** Node refuses new streams once a session holds more than this many megabytes; the default of 10 is one large list. */
const MAX_SESSION_MEMORY_MB = 512

/** A call with one request and one answer. */
export type UnaryHandler = (request: Buffer) => Promise<Buffer | StreamedMessage>

/** One streaming call: what it wants to be told. */
export interface StreamHandler {
  onMessage(message: Buffer): void
  /** The client sends no more. */
  onEnd(): void
  /** The call is over, in whatever way. */
  onClose(): void
}

/** Begins a streaming call. */
export type StreamOpener = (call: Call) => StreamHandler

/** The methods of the server by path, `/etcdserverpb.KV/Range`. */
export interface Methods {
  readonly unary: ReadonlyMap<string, UnaryHandler>
  readonly streams: ReadonlyMap<string, StreamOpener>
}

/** What the server tells others. */
export interface GrpcServerDeps {
  readonly methods: Methods
  /** A call was answered. */
  readonly onHandled: (path: string, code: number) => void
}

/** Certificates of a TLS listener; with `caPem`, clients need a certificate of that CA. */
export interface TlsOptions {
  readonly certPem: Buffer
  readonly keyPem: Buffer
  readonly caPem?: Buffer | undefined
}

/**
 * gRPC over node:http2 without a framework (docs/adr/0002-kine-raw-http2.md): no compression, no interceptors, one
 * service. PINGs are answered by nghttp2 at any rate, as the API server's clients send one every 30 s each.
 */
export class GrpcServer {
  readonly server: Http2Server
  readonly #deps: GrpcServerDeps
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #calls = new Set<Call>()
  #stopped = false

  constructor(tls: TlsOptions | undefined, deps: GrpcServerDeps) {
    this.#deps = deps
    this.server = tls === undefined ? http2.createServer(HTTP2_OPTIONS) : createSecureServer(tls)
    this.server.on('session', (session) => this.#onSession(session))
    this.server.on('stream', (stream, headers) => this.#onStream(stream, headers))
    this.server.on('sessionError', () => undefined)
  }

  /** Open connections. */
  get sessions(): number {
    return this.#sessions.size
  }

  /** New calls are refused, streams end with `server stopped`; unary calls that run are still answered. */
  stop(): void {
    this.#stopped = true
    this.server.close()
    for (const call of this.#calls) call.finish(stoppedError())
    for (const session of this.#sessions) session.close()
  }

  /** Cuts every connection. */
  destroy(): void {
    for (const session of this.#sessions) session.destroy()
  }

  #onSession(session: ServerHttp2Session): void {
    this.#sessions.add(session)
    session.setLocalWindowSize(RECEIVE_WINDOW_BYTES)
    session.on('error', () => session.destroy())
    session.on('close', () => this.#sessions.delete(session))
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on('error', () => undefined)
    const path = headers[':path'] ?? ''
    const call = new Call(stream)
    if (this.#stopped) {
      call.finish(stoppedError())
      return
    }
    const unary = this.#deps.methods.unary.get(path)
    if (unary !== undefined) {
      this.#serveUnary(stream, call, path, unary)
      return
    }
    const streaming = this.#deps.methods.streams.get(path)
    if (streaming !== undefined) {
      this.#serveStream(stream, call, streaming)
      return
    }
    stream.resume()
    call.finish(new GrpcError(GrpcCode.unimplemented, unknownMethod(path)))
    this.#deps.onHandled(path, GrpcCode.unimplemented)
  }

  #serveUnary(stream: ServerHttp2Stream, call: Call, path: string, handler: UnaryHandler): void {
    const reader = new FrameReader(MAX_RECEIVE_BYTES)
    let answering = false
    stream.on('data', (chunk: Buffer) => {
      if (answering) return
      try {
        const [message] = reader.push(chunk)
        if (message === undefined) return
        answering = true
        void this.#answer(call, path, handler, message)
      } catch (error) {
        answering = true
        call.finish(error)
      }
    })
    stream.on('end', () => {
      if (!answering) call.finish(new GrpcError(GrpcCode.internal, 'grpc: client closed the stream without a message'))
    })
  }

  async #answer(call: Call, path: string, handler: UnaryHandler, message: Buffer): Promise<void> {
    let code: number = GrpcCode.ok
    try {
      const reply = await handler(message)
      if (Buffer.isBuffer(reply)) call.reply(reply)
      else await call.replyStreamed(reply)
    } catch (error) {
      code = toStatus(error).grpcCode
      call.finish(error)
    }
    this.#deps.onHandled(path, code)
  }

  #serveStream(stream: ServerHttp2Stream, call: Call, open: StreamOpener): void {
    const reader = new FrameReader(MAX_RECEIVE_BYTES)
    const handler = open(call)
    this.#calls.add(call)
    call.start()
    stream.on('data', (chunk: Buffer) => {
      if (call.closed) return
      try {
        for (const message of reader.push(chunk)) handler.onMessage(message)
      } catch (error) {
        call.finish(error)
      }
    })
    stream.on('end', () => handler.onEnd())
    stream.on('close', () => {
      this.#calls.delete(call)
      handler.onClose()
    })
  }
}

const HTTP2_OPTIONS = {
  maxSessionMemory: MAX_SESSION_MEMORY_MB,
  settings: { initialWindowSize: RECEIVE_WINDOW_BYTES, maxConcurrentStreams: 0x7fff_ffff },
  // The API server cancels watches by the hundred; that is not the reset attack which these limits are for.
  streamResetBurst: 100_000,
  streamResetRate: 10_000,
} as const

function createSecureServer({ certPem, keyPem, caPem }: TlsOptions): Http2Server {
  const clients = caPem === undefined ? {} : { ca: caPem, requestCert: true, rejectUnauthorized: true }
  const server = http2.createSecureServer({
    ...HTTP2_OPTIONS,
    cert: certPem,
    key: keyPem,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['h2'],
    ...clients,
  })
  // Both kinds of server share the events and methods that are used here.
  return server
}

function stoppedError(): GrpcError {
  return new GrpcError(GrpcCode.unavailable, 'etcdserver: server stopped')
}

function unknownMethod(path: string): string {
  const [, service = '', method = ''] = path.split('/')
  return `unknown method ${method} for service ${service}`
}
