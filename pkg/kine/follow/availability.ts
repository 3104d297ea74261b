import { errorMessage } from '#pkg/errors/error.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** What Availability works with. */
export interface AvailabilityDeps {
  /** The database answers again after so long, or confirms commits again. */
  readonly onReturn: (awayMs: number) => void
  readonly log: Logger
}

/** Commits that fail for so long although the database answers are worth a line in the log. */
const PERSISTENT_MS = 3_000

/**
 * Whether a shared database answers and takes commits. That it is away, and back, is for its dialect to say, which knows
 * its name; here it is said when it answers and commits fail all the same.
 */
export class Availability {
  readonly #deps: AvailabilityDeps
  /** When a question first failed after the last answer, on the monotonic clock. */
  #silentSince: number | undefined
  /** When it began to answer. */
  #answeringSince = performance.now()
  /** When a commit first failed after the last one that succeeded. */
  #refusingSince: number | undefined
  #refusalTold = false

  constructor(deps: AvailabilityDeps) {
    this.#deps = deps
  }

  /** Whether the last question was not answered. */
  get away(): boolean {
    return this.#silentSince !== undefined
  }

  /** Passes on what the database answers, or that it does not. */
  async observe<T>(answer: Promise<T>): Promise<T> {
    try {
      const value = await answer
      this.#onAnswer()
      return value
    } catch (error) {
      if (isUnavailable(error)) this.#onSilence(error)
      throw error
    }
  }

  /** A commit has not been confirmed. */
  refused(error: unknown): void {
    this.#refusingSince ??= performance.now()
    const since = Math.max(this.#refusingSince, this.#answeringSince)
    if (this.#refusalTold || this.away || performance.now() - since < PERSISTENT_MS) return
    this.#refusalTold = true
    this.#deps.log.warn('the database answers, but confirms no commits', { err: reasonOf(error) })
  }

  /** A commit has been confirmed. */
  confirmed(): void {
    if (this.#refusingSince === undefined) return
    const refusedMs = Math.round(performance.now() - this.#refusingSince)
    this.#refusingSince = undefined
    if (this.#refusalTold) this.#deps.log.info('the database confirms commits again', { durationMs: refusedMs })
    this.#refusalTold = false
    this.#deps.onReturn(refusedMs)
  }

  #onSilence(error: unknown): void {
    if (this.#silentSince !== undefined) return
    this.#silentSince = performance.now()
    this.#deps.log.debug('the database does not answer', { err: reasonOf(error) })
  }

  #onAnswer(): void {
    if (this.#silentSince === undefined) return
    this.#answeringSince = performance.now()
    const silentMs = Math.round(this.#answeringSince - this.#silentSince)
    this.#silentSince = undefined
    this.#deps.log.debug('the database answers again', { durationMs: silentMs })
    this.#deps.onReturn(silentMs)
  }
}

/** No answer of the database; anything else it says is one. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof StoreError && error.kind === 'unavailable'
}

function reasonOf(error: unknown): string {
  return errorMessage(error instanceof Error && error.cause !== undefined ? error.cause : error)
}
