import { sourceOf } from '#pkg/api/refusal-limit.ts'
import { Tally } from '#pkg/api/tally.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** How much refusals may add to the log. */
export interface RefusalLogOptions {
  /** Milliseconds that one summary sums up. Default 10 000. */
  readonly windowMs?: number
  /**
   * Sources that get a line of their own at once, in a window. Default 2: of lines that differ in numbers only the controller, which
   * reads this log, passes five in ten seconds on, and the same ten seconds may meet two windows.
   */
  readonly linesPerWindow?: number
}

/** Reasons, and sources with their reason, that a summary names. */
const NAMED = 10
/** Of each so many are told apart in a window. */
const DISTINCT = 1_000

/**
 * Says every refusal without letting whoever is refused fill the disk: the first of a source is a line at once, all others are counted by
 * reason and by source in one line every 10 s. A source that goes on gets no further line of its own until it was quiet for a window.
 *
 * INVARIANT: every call of refused() is a line of its own, or counted by exactly one summary.
 */
export class RefusalLog implements Disposable {
  readonly #log: Logger
  readonly #windowMs: number
  readonly #linesPerWindow: number
  readonly #reasons = new Tally(DISTINCT)
  readonly #sources = new Tally(DISTINCT)
  #timer: NodeJS.Timeout | undefined
  #lines = 0
  /** Those of this window that are known: lines of their own and, up to a bound, what was counted. */
  #seen = new Set<string>()
  /** Those of the window before. */
  #seenBefore: ReadonlySet<string> = new Set()

  constructor(log: Logger, { windowMs = 10_000, linesPerWindow = 2 }: RefusalLogOptions = {}) {
    this.#log = log
    this.#windowMs = windowMs
    this.#linesPerWindow = linesPerWindow
  }

  /** @param reason without a secret */
  refused(address: string, reason: string): void {
    this.#timer ??= setTimeout(() => this.#endWindow(), this.#windowMs).unref()
    const source = sourceOf(address)
    const isNew = !this.#seen.has(source) && !this.#seenBefore.has(source)
    if (this.#seen.size < DISTINCT) this.#seen.add(source)
    if (isNew && this.#lines < this.#linesPerWindow) {
      this.#lines += 1
      this.#log.warn('join request refused', { source: address, reason })
      return
    }
    this.#reasons.add(reason)
    this.#sources.add(`${source} (${reason})`)
  }

  /** Writes what was counted until now. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#summarize()
  }

  #endWindow(): void {
    this.#timer = undefined
    this.#summarize()
    this.#lines = 0
    this.#seenBefore = this.#seen
    this.#seen = new Set()
    // Whoever was refused in this window is known through the next one, and forgotten when that is quiet.
    if (this.#seenBefore.size > 0) this.#timer = setTimeout(() => this.#endWindow(), this.#windowMs).unref()
  }

  #summarize(): void {
    const count = this.#reasons.total
    if (count === 0) return
    this.#log.warn('join requests refused', {
      count,
      reasons: this.#reasons.take(NAMED),
      sources: this.#sources.take(NAMED),
    })
  }
}
