import type { LogFields, Logger } from '#pkg/log/logger.ts'

/** Lines of one message in one period. */
const MAX_LINES = 10
const PERIOD_MS = 10_000

/** What SlowLog works with. */
export interface SlowLogDeps {
  readonly log: Logger
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

/**
 * Warnings about what took long: at most ten lines in ten seconds, so that an outage is not a flood; the next line tells
 * how many were left out.
 */
export class SlowLog {
  /** From which duration on something is slow, milliseconds; Infinity: nothing is. */
  readonly thresholdMs: number
  readonly #message: string
  readonly #deps: SlowLogDeps
  #periodStart = -Infinity
  #lines = 0
  #omitted = 0

  /** `thresholdMs` 0 switches it off. */
  constructor(message: string, thresholdMs: number, deps: SlowLogDeps) {
    this.thresholdMs = thresholdMs > 0 ? thresholdMs : Infinity
    this.#message = message
    this.#deps = deps
  }

  /** To be called with what has reached the threshold. */
  warn(durationMs: number, fields: LogFields): void {
    const now = this.#deps.now()
    if (now - this.#periodStart >= PERIOD_MS) {
      this.#periodStart = now
      this.#lines = 0
    }
    if (this.#lines >= MAX_LINES) {
      this.#omitted += 1
      return
    }
    this.#lines += 1
    const omitted = this.#omitted === 0 ? {} : { omitted: this.#omitted }
    this.#omitted = 0
    this.#deps.log.warn(this.#message, { ...fields, durationMs: Math.round(durationMs), ...omitted })
  }
}
