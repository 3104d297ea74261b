import { Agent, request as httpsRequest } from 'node:https'
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
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
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** The request may be sent twice without harm: repeated once when a kept-alive connection turns out to be dead. */
  readonly repeatable: boolean
}

/** An answer whose body is still to be read. Whoever opened it calls `close()`, always. */
export interface OpenResponse {
  readonly response: IncomingMessage
  /** What to report for an error of the body's stream: the abort reason, or a KubeConnectionError. */
  failure(thrown: unknown): Error
  /** Unlinks the signal; drops the connection unless the body was read to its end. */
  close(): void
}

/**
 * Kept-alive connections to one API server. HTTP/1.1: a watch has a connection of its own, so that TCP's flow control
 * is the watch's back-pressure (docs/adr/0004-own-kubernetes-client.md).
 */
export class Transport {
  readonly #server: URL
  #agent: Agent | HttpAgent

  constructor(server: string, credentials: TlsCredentials) {
    this.#server = new URL(server)
    this.#agent = this.#newAgent(credentials)
  }

  /** New connections use these from now on; running requests finish on the old ones. */
  setCredentials(credentials: TlsCredentials): void {
    const old = this.#agent
    this.#agent = this.#newAgent(credentials)
    // Only idle connections end here: Agent.destroy() would cut running requests and watches too.
    for (const sockets of Object.values(old.freeSockets)) sockets?.forEach((socket) => socket.destroy())
  }

  /** Resolves with the head of the answer. @throws KubeConnectionError, or the reason of `request.signal`. */
  async open(request: TransportRequest): Promise<OpenResponse> {
    for (let attempt = 0; ; attempt += 1) {
      request.signal?.throwIfAborted()
      const outgoing = this.#send(request)
      const onAbort = (): void => void outgoing.destroy()
      request.signal?.addEventListener('abort', onAbort, { once: true })
      const failure = (thrown: unknown): Error => this.#failure(request, thrown)
      try {
        const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
        // A late reset of the connection must not become an uncaught error: the body's reader sees it as well.
        outgoing.on('error', () => undefined)
        const close = (): void => {
          request.signal?.removeEventListener('abort', onAbort)
          if (response.complete) response.resume()
          else outgoing.destroy()
        }
        return { response, failure, close }
      } catch (thrown) {
        request.signal?.removeEventListener('abort', onAbort)
        outgoing.on('error', () => undefined).destroy()
        if (attempt === 0 && request.repeatable && outgoing.reusedSocket && errnoCode(thrown) === 'ECONNRESET') continue
        throw failure(thrown)
      }
    }
  }

  /** Ends every connection, the busy ones included. */
  close(): void {
    this.#agent.destroy()
  }

  #newAgent({ caPem, certPem, keyPem }: TlsCredentials): Agent | HttpAgent {
    // LIFO lets the connections of a burst go idle and end after `timeout`; a busy connection is not affected by it.
    const common = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, scheduling: 'lifo', timeout: IDLE_MS } as const
    if (this.#server.protocol === 'http:') return new HttpAgent(common)
    return new Agent({ ...common, ca: caPem, cert: certPem, key: keyPem, minVersion: 'TLSv1.2' })
  }

  #send({ method, path, headers, body }: TransportRequest): ClientRequest {
    const { protocol, hostname, port } = this.#server
    const isTls = protocol !== 'http:'
    const outgoing = (isTls ? httpsRequest : httpRequest)({
      method,
      // URL keeps the brackets of an IPv6 address, the socket wants it bare.
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? (isTls ? 443 : 80) : port,
      path: this.#server.pathname.replace(/\/$/, '') + path,
      headers: body === undefined ? headers : { ...headers, 'content-length': String(Buffer.byteLength(body)) },
      agent: this.#agent,
    })
    outgoing.end(body)
    return outgoing
  }

  #failure(request: TransportRequest, thrown: unknown): Error {
    if (request.signal?.aborted) return asError(request.signal.reason)
    if (thrown instanceof KubeConnectionError) return thrown
    const path = request.path.split('?')[0] ?? request.path
    const message = `no answer from the API server ${this.#server.origin} to ${request.method} ${path}: ${errorMessage(thrown)}`
    return new KubeConnectionError(message, { cause: thrown })
  }
}

/** TCP keep-alive starts after this; with libuv's probes (1 s apart, 10 of them) a dead peer shows within 25 s. */
const KEEP_ALIVE_MS = 15_000
/** Idle connections end after this, well before kube-apiserver's own idle timeout (90 s) can race with a request. */
const IDLE_MS = 30_000

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
