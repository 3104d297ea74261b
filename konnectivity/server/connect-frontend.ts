import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Logger } from '#pkg/log/logger.ts'
import { ConnectClient } from '#konnectivity/server/connect-request.ts'
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
    const client = new ConnectClient(socket)
    const request = await client.request
    this.#undecided -= 1
    switch (request.kind) {
      case 'gone':
        socket.destroy()
        return
      case 'bad':
        reply(socket, request.status, request.message)
        return
      case 'connect': {
        const outcome = await this.#deps.dialer.dial(request.address, client.gone)
        this.#answer(socket, outcome, client.release())
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
