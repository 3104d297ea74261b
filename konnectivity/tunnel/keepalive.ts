import type { Http2Session } from '#pkg/http2/session.ts'

/** When a silent peer is given up. */
export interface KeepaliveOptions {
  /** Time between pings, milliseconds. */
  readonly intervalMs: number
  /** Time for the answer, milliseconds. */
  readonly timeoutMs: number
}

/**
 * Between our own peers: a black hole is noticed after 5 + 4 + 1 s at the latest. Upstream's agents and servers answer
 * pings that come faster than every 30 s with GOAWAY too_many_pings (their enforcement policy), hence the second.
 */
export const keepalive = {
  own: { intervalMs: 5_000, timeoutMs: 4_000 },
  upstream: { intervalMs: 35_000, timeoutMs: 10_000 },
} as const satisfies Readonly<Record<string, KeepaliveOptions>>

/** Timers fire before the socket is read when the event loop was held up: the answer gets this much longer. */
const GRACE_MS = 1_000

/** Pings a session for as long as it lives and destroys it when the peer is silent. */
export class Keepalive {
  /** Round trip of the last answered ping, milliseconds. */
  rttMs: number | undefined
  readonly #session: Http2Session
  readonly #options: KeepaliveOptions
  #timer: NodeJS.Timeout | undefined

  constructor(session: Http2Session, options: KeepaliveOptions) {
    this.#session = session
    this.#options = options
    session.once('close', () => this.stop())
    this.#ping()
  }

  /** Stops pinging; the session is left as it is. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #ping(): void {
    if (this.#session.destroyed || this.#session.closed) return
    const received = this.#bytesRead()
    this.#timer = setTimeout(() => this.#suspect(received), this.#options.timeoutMs)
    this.#session.ping((durationMs) => {
      this.rttMs = durationMs
      this.#next()
    })
  }

  #next(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#ping(), this.#options.intervalMs)
  }

  /** Bytes that arrive prove the peer alive even when the answer waits behind them on a slow link. */
  #suspect(receivedBefore: number): void {
    this.#timer = setTimeout(() => {
      if (this.#bytesRead() > receivedBefore) this.#next()
      else this.#session.destroy(new Error(`no sign of life for ${this.#options.timeoutMs + GRACE_MS} ms`))
    }, GRACE_MS)
  }

  #bytesRead(): number {
    return this.#session.destroyed ? 0 : this.#session.socket.bytesRead
  }
}
