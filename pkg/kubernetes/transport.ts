import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from 'node:http2'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'
import { KubeConnectionError } from '#pkg/kubernetes/errors.ts'

/** TLS material of a client; PEM. */
export interface TlsCredentials {
  readonly caPem?: string | undefined
  readonly certPem?: string | undefined
  readonly keyPem?: string | undefined
}

/** One HTTP request. */
export interface TransportRequest {
  readonly method: string
  /** Path with its query. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** The request may be sent twice without harm: repeated once when the connection turns out to be dead. */
  readonly repeatable: boolean
}

/** An answer whose body is still to be read. Whoever opened it calls `close()`, always. */
export interface OpenResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Read no faster than it is iterated. @throws the abort reason, or KubeConnectionError when it is cut off. */
  readonly body: AsyncIterable<Buffer>
  /** Unlinks the signal; ends the stream unless it was read to its end. */
  close(): void
}

/**
 * One HTTP/2 connection to one API server, made when needed and again when it is lost: requests and watches are streams of
 * it (docs/adr/0004-own-kubernetes-client.md). It keeps the process alive only while a request is open.
 *
 * INVARIANTS: `#session` is usable as far as is known: on 'goaway', 'error' and 'close' it is given up, and a new request
 * gets a new connection while open streams of a connection that is going away finish.
 */
export class Transport {
  readonly #server: URL
  readonly #sessions = new Set<ClientHttp2Session>()
  #credentials: TlsCredentials
  #session: ClientHttp2Session | undefined

  constructor(server: string, credentials: TlsCredentials) {
    this.#server = new URL(server)
    this.#credentials = credentials
  }

  /** New connections use these from now on; running requests finish on the old one. */
  setCredentials(credentials: TlsCredentials): void {
    this.#credentials = credentials
    const old = this.#session
    this.#session = undefined
    old?.close()
  }

  /** Resolves with the head of the answer. @throws KubeConnectionError, or the reason of `request.signal`. */
  async open(request: TransportRequest): Promise<OpenResponse> {
    for (let attempt = 0; ; attempt += 1) {
      request.signal?.throwIfAborted()
      const isReused = this.#session !== undefined
      const stream = this.#send(request)
      const onAbort = (): void => cancel(stream)
      request.signal?.addEventListener('abort', onAbort, { once: true })
      try {
        const headers = await answerTo(stream)
        return {
          status: Number(headers[':status']),
          headers,
          body: this.#read(stream, request),
          close: () => {
            request.signal?.removeEventListener('abort', onAbort)
            if (!stream.readableEnded) cancel(stream)
          },
        }
      } catch (thrown) {
        request.signal?.removeEventListener('abort', onAbort)
        cancel(stream)
        if (attempt === 0 && isReused && request.repeatable && isLostConnection(thrown)) continue
        throw this.#failure(request, thrown)
      }
    }
  }

  /** Ends the connections and with them every open request. */
  close(): void {
    this.#session = undefined
    for (const session of this.#sessions) session.destroy()
  }

  #send({ method, path, headers, body }: TransportRequest): ClientHttp2Stream {
    const session = this.#connected()
    session.ref()
    const stream = session.request(
      {
        ':method': method,
        ':path': this.#server.pathname.replace(/\/$/, '') + path,
        ...headers,
        ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
      },
      { endStream: body === undefined },
    )
    // Errors are reported by answerTo and by the body's reader; this listener is for what comes after both.
    stream.on('error', () => undefined)
    stream.on('close', () => {
      if (openStreams(session, -1) === 0 && !session.destroyed) session.unref()
    })
    openStreams(session, 1)
    if (body !== undefined) stream.end(body)
    return stream
  }

  async *#read(stream: ClientHttp2Stream, request: TransportRequest): AsyncGenerator<Buffer, void> {
    try {
      yield* chunksOf(stream)
      // A stream that is reset with CANCEL or NO_ERROR ends like a complete one (nodejs/node#22851).
      if (stream.aborted) throw new Error('the answer was cut off')
    } catch (thrown) {
      throw this.#failure(request, thrown)
    }
  }

  #connected(): ClientHttp2Session {
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed) return this.#session
    const { caPem, certPem, keyPem } = this.#credentials
    const session = connect(this.#server, {
      ca: caPem,
      cert: certPem,
      key: keyPem,
      minVersion: 'TLSv1.2',
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
      maxSessionMemory: MAX_SESSION_MEGABYTES,
    })
    const giveUp = (): void => {
      if (this.#session === session) this.#session = undefined
    }
    session.on('error', giveUp).on('goaway', giveUp)
    const stopProbing = probeConnection(session)
    session.on('close', () => {
      giveUp()
      stopProbing()
      this.#sessions.delete(session)
    })
    this.#sessions.add(session)
    this.#session = session
    return session
  }

  #failure(request: TransportRequest, thrown: unknown): Error {
    if (request.signal?.aborted) return asError(request.signal.reason)
    if (thrown instanceof KubeConnectionError) return thrown
    const path = request.path.split('?')[0] ?? request.path
    const message = `no answer from the API server ${this.#server.origin} to ${request.method} ${path}: ${errorMessage(thrown)}`
    return new KubeConnectionError(message, { cause: thrown })
  }
}

/** What one answer may send ahead of its reader. */
const STREAM_WINDOW_BYTES = 256 * 1024
/** Node.js refuses new streams above this; its default of 10 is less than a few large lists at once. */
const MAX_SESSION_MEGABYTES = 64
/** A connection has to be up after this. */
const CONNECT_TIMEOUT_MS = 10_000
/** client-go's defaults (http2 ReadIdleTimeout and PingTimeout): a dead peer shows within 45 s. */
const PING_EVERY_MS = 30_000
const PING_TIMEOUT_MS = 15_000

/** Destroys a connection that does not come up or no longer answers pings. Returns what ends the probing. */
function probeConnection(session: ClientHttp2Session): () => void {
  let deadline: NodeJS.Timeout | undefined = setTimeout(() => {
    session.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`))
  }, CONNECT_TIMEOUT_MS)
  const alive = (): void => {
    clearTimeout(deadline)
    deadline = undefined
  }
  session.once('connect', alive)
  const interval = setInterval(() => {
    if (deadline !== undefined || session.destroyed) return
    deadline = setTimeout(() => session.destroy(new Error('the connection no longer answers')), PING_TIMEOUT_MS)
    deadline.unref()
    session.ping(alive)
  }, PING_EVERY_MS)
  interval.unref()
  return () => {
    alive()
    clearInterval(interval)
  }
}

/** The head of the answer; rejects when the stream ends without one. */
async function answerTo(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> {
  return new Promise((resolve, reject) => {
    stream.once('response', resolve).once('error', reject)
    stream.once('close', () => reject(new Error('the connection was lost before an answer came')))
  })
}

/**
 * What a stream has for its reader, to its end. Not the stream's own iterator: once an answer has come whole, `closed` of a stream of
 * node:http2 is true, and an iterator that begins then takes that for a close before the end (ERR_STREAM_PREMATURE_CLOSE).
 *
 * @throws the stream's error, or that it was cut off
 */
async function* chunksOf(stream: ClientHttp2Stream): AsyncGenerator<Buffer, void> {
  let wake = (): void => undefined
  const onChange = (): void => wake()
  for (const event of CHANGES) stream.on(event, onChange)
  try {
    for (;;) {
      const chunk = stream.read() as Buffer | null
      if (chunk !== null) yield chunk
      else if (stream.readableEnded) return
      else if (stream.destroyed) throw stream.errored ?? new Error('the answer was cut off')
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    for (const event of CHANGES) stream.off(event, onChange)
  }
}

/** After which a stream may have something to read, or never again. */
const CHANGES = ['readable', 'end', 'close'] as const

/** Ends a stream early. One that still waits for its connection has no number to send a reset for. */
function cancel(stream: ClientHttp2Stream): void {
  if (stream.pending) stream.destroy()
  else stream.close(constants.NGHTTP2_CANCEL)
}

const streamCounts = new WeakMap<ClientHttp2Session, number>()

/** Counts the open streams of a connection. */
function openStreams(session: ClientHttp2Session, change: 1 | -1): number {
  const count = (streamCounts.get(session) ?? 0) + change
  streamCounts.set(session, count)
  return count
}

/** The connection was dead or going away when the request was sent: the server has not seen it, or not answered it. */
function isLostConnection(thrown: unknown): boolean {
  const code = errnoCode(thrown)
  return code === undefined || code === 'ECONNRESET' || code === 'EPIPE' || code.startsWith('ERR_HTTP2_')
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
