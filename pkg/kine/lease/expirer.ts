import { errorMessage } from '#pkg/errors/error.ts'
import type { LeaseId } from '#pkg/kine/backend.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Longest sleep: Node's timers overflow at 2^31 ms, and a lease granted meanwhile wakes the expirer anyway. */
const MAX_SLEEP_MS = 60_000
/** Expired leases within this time go together: late by up to it, never early. */
const GRANULARITY_MS = 200
/** Wait after a revoke that failed (database away). */
const RETRY_MS = 1_000

/** Options of LeaseExpirer. */
export interface LeaseExpirerOptions {
  /** Up to this many milliseconds more, at random: of several instances one then does it before the others begin. */
  readonly spreadMs: number
}

/** What LeaseExpirer needs of its surroundings. */
export interface LeaseExpirerDeps {
  readonly lessor: Lessor
  /** Deletes the keys and the lease, durably, if it is still expired. */
  readonly revoke: (id: LeaseId) => Promise<unknown>
  readonly log: Logger
}

/** Revokes leases when their time is up. One timer, set for the next expiry. */
export class LeaseExpirer {
  readonly #options: LeaseExpirerOptions
  readonly #deps: LeaseExpirerDeps
  #timer: NodeJS.Timeout | undefined
  #wakeAt = Infinity
  #running: Promise<void> | undefined
  #stopped = false

  constructor(options: LeaseExpirerOptions, deps: LeaseExpirerDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** To be called when leases were added or changed. */
  wake(): void {
    if (this.#stopped || this.#running !== undefined) return
    const next = this.#deps.lessor.nextExpiryMs()
    if (next === undefined) {
      this.#cancel()
      return
    }
    const delayMs = Math.min(next + GRANULARITY_MS + Math.random() * this.#options.spreadMs, MAX_SLEEP_MS)
    const wakeAt = performance.now() + delayMs
    if (this.#timer !== undefined && wakeAt >= this.#wakeAt) return
    this.#schedule(delayMs)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancel()
    await this.#running
  }

  #schedule(delayMs: number): void {
    this.#cancel()
    this.#wakeAt = performance.now() + delayMs
    this.#timer = setTimeout(() => {
      this.#cancel()
      this.#running = this.#expire()
    }, delayMs)
  }

  #cancel(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#wakeAt = Infinity
  }

  async #expire(): Promise<void> {
    const { lessor, revoke, log } = this.#deps
    const revoked = await Promise.all(
      lessor.expired().map(async (id) => {
        try {
          await revoke(id)
          return true
        } catch (error) {
          log.debug('cannot revoke expired lease', { lease: id, err: errorMessage(error) })
          // A client may have revoked it at the same time.
          return !lessor.has(id)
        }
      }),
    )
    this.#running = undefined
    if (this.#stopped) return
    if (revoked.includes(false)) this.#schedule(RETRY_MS)
    else this.wake()
  }
}
