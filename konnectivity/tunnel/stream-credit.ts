/** A stream of many connections whose peer may send as much again as was read, unless it is withheld. */
export interface CreditSource {
  /** So many bytes that were read are not to be replaced yet. */
  withhold(bytes: number): void
  /** Undoes `withhold`. */
  grant(bytes: number): void
}

/** What the peer may send at least in each TICK_MS, whoever is slow: 1.25 MiB a second. */
const LEAST_BYTES = 64 * 1024
const TICK_MS = 50

/**
 * Slows the peer of a shared stream down to the speed of a reader that is far behind, where the protocol has no flow control for
 * single connections. Only what such a reader has not taken is withheld; what others receive is delivered and replaced at once. They
 * share what is left of the stream, which never is less than LEAST_BYTES in TICK_MS.
 */
export class StreamCredit {
  readonly #source: CreditSource
  readonly #withheld = new Map<object, number>()
  #timer: NodeJS.Timeout | undefined
  /** Since the last tick, because readers took something. */
  #grantedBytes = 0

  constructor(source: CreditSource) {
    this.#source = source
  }

  /** Bytes withheld now. */
  get withheldBytes(): number {
    return this.#withheld.values().reduce((sum, bytes) => sum + bytes, 0)
  }

  /** `holder` received bytes that its reader is too far behind for. */
  withhold(holder: object, bytes: number): void {
    this.#withheld.set(holder, (this.#withheld.get(holder) ?? 0) + bytes)
    this.#source.withhold(bytes)
    this.#timer ??= setInterval(() => this.#onTick(), TICK_MS)
  }

  /** The reader of `holder` took something: not more than `bytes` stay withheld because of it. */
  keepAtMost(holder: object, bytes: number): void {
    const excess = (this.#withheld.get(holder) ?? 0) - bytes
    if (excess <= 0) return
    this.#grantedBytes += excess
    this.#grant(holder, excess)
  }

  /** Nothing more will come for `holder`. */
  release(holder: object): void {
    this.keepAtMost(holder, 0)
  }

  #onTick(): void {
    let left = LEAST_BYTES - this.#grantedBytes
    this.#grantedBytes = 0
    for (const [holder, bytes] of this.#withheld) {
      if (left <= 0) return
      const now = Math.min(left, bytes)
      left -= now
      this.#grant(holder, now)
    }
  }

  #grant(holder: object, bytes: number): void {
    const left = (this.#withheld.get(holder) ?? 0) - bytes
    if (left > 0) this.#withheld.set(holder, left)
    else this.#withheld.delete(holder)
    if (this.#withheld.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
    this.#source.grant(bytes)
  }
}
