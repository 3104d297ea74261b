import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Logger } from '#pkg/log/logger.ts'
import { readConnectRequest } from '#konnectivity/server/connect-request.ts'
import type { DialOutcome, TunnelDialer } from '#konnectivity/server/dialer.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'
import type { OpenConnections } from '#konnectivity/server/open-connections.ts'

/** Collaborators of a frontend. */
export interface FrontendDeps {
  readonly dialer: TunnelDialer
  readonly connections: OpenConnections
  readonly metrics: ServerMetrics
  readonly log: Logger
}

/** Bytes that a client may send before it has its reply; more waits in the kernel. */
const MAX_EARLY_BYTES = 64 * 1024

/** An endpoint that speaks first is held back until the client has had its reply for this long. */
const HOLD_BACK_MS = 1_000

/** HTTP CONNECT: one socket of kube-apiserver is one tunnelled connection. */
export class ConnectFrontend {
  readonly #deps: FrontendDeps
  readonly #sockets = new Set<Socket>()
  #undecided = 0

  constructor(deps: FrontendDeps) {
    this.#deps = deps
  }

  /** Client sockets open now, those still dialing included. */
  get open(): number {
    return this.#sockets.size
  }

  /** Clients that have not sent their request yet. */
  get undecided(): number {
    return this.#undecided
  }

  /** Serves one accepted socket (unix, TCP or TLS; opened with allowHalfOpen). */
  readonly serve = (socket: Socket): void => {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', (error) => this.#deps.log.debug('frontend socket failed', { err: error }))
    void this.#serve(socket)
  }

  /** Drops every client. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async #serve(socket: Socket): Promise<void> {
    this.#undecided += 1
    const request = await readConnectRequest(socket)
    this.#undecided -= 1
    switch (request.kind) {
      case 'gone':
        socket.destroy()
        return
      case 'bad':
        reply(socket, request.status, request.message)
        return
      case 'connect': {
        if (request.head.length > 0) socket.unshift(request.head)
        const early = new EarlyBytes(socket)
        const outcome = await this.#deps.dialer.dial(request.address, early.gone)
        early.stop()
        this.#answer(socket, outcome, early.received)
      }
    }
  }

  #answer(socket: Socket, outcome: DialOutcome, early: boolean): void {
    if (outcome.kind === 'failed') {
      if (outcome.reason !== 'aborted') this.#deps.log.debug('dial failed', { reason: outcome.message })
      reply(socket, statusOf(outcome), `${outcome.message}\n`)
      return
    }
    if (socket.destroyed) {
      this.#deps.metrics.dialFailures.add({ reason: 'send_rsp' })
      outcome.connection.destroy(new Error('the client went away'))
      return
    }
    socket.write(ESTABLISHED)
    this.#deps.connections.add(socket, outcome.connection, {
      holdBackMs: early ? 0 : HOLD_BACK_MS,
      traffic: outcome.traffic,
    })
  }
}

const ESTABLISHED = Buffer.from('HTTP/1.1 200 Connection Established\r\n\r\n')

/** While the dial runs, reads on to notice a client that leaves; puts what it read back afterwards. */
class EarlyBytes {
  readonly #socket: Socket
  readonly #abort = new AbortController()
  readonly #chunks: Buffer[] = []
  #length = 0

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', this.#onData).once('end', this.#onGone).once('close', this.#onGone)
    socket.resume()
  }

  /** Aborts when the client ends or closes its side. */
  get gone(): AbortSignal {
    return this.#abort.signal
  }

  /** The client did not wait for its reply. */
  get received(): boolean {
    return this.#length > 0
  }

  stop(): void {
    this.#socket.off('data', this.#onData).off('end', this.#onGone).off('close', this.#onGone)
    this.#socket.pause()
    if (this.#length > 0 && !this.#socket.destroyed) this.#socket.unshift(Buffer.concat(this.#chunks))
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length >= MAX_EARLY_BYTES) this.#socket.pause()
  }

  readonly #onGone = (): void => this.#abort.abort(new Error('the client went away'))
}

/** Upstream's mapping, but 503 where no agent is connected: the condition passes. */
function statusOf({ reason, message }: Extract<DialOutcome, { kind: 'failed' }>): 502 | 503 | 504 {
  if (reason === 'no-agent' || message.includes('too many open files')) return 503
  return reason === 'timeout' || /timeout|deadline/i.test(message) ? 504 : 502
}

function reply(socket: Socket, status: number, message: string): void {
  if (socket.destroyed) return
  const body = `${message.trimEnd()}\n`
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroySoon())
  // What the client still sends is dropped: unread bytes would turn our close into a reset and lose the reply.
  socket.resume()
  socket.setTimeout(5_000, () => socket.destroy())
}
