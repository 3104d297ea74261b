import { errorMessage } from '#pkg/errors/error.ts'
import type { Applier } from '#pkg/kine/apply.ts'
import type { Revision } from '#pkg/kine/backend.ts'
import type { Head, SharedLog } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { Heads, includes, sameHead } from '#pkg/kine/follow/heads.ts'
import type { Serial } from '#pkg/kine/follow/serial.ts'
import type { Tail } from '#pkg/kine/follow/tail.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Pause before the head is asked for again while the database is away. */
const RETRY = { initialMs: 100, maxMs: 1000, jitter: 0.5 }

/**
 * What is known of the memory of this instance: equal to the log at the applied head; that, but the log may have gone
 * on by an own commit of unknown outcome; not to be trusted, because something impossible was seen.
 */
export type Trust = 'certain' | 'uncertain' | 'broken'

/** What Follower works with. */
export interface FollowerDeps {
  readonly shared: SharedLog
  readonly applier: Applier
  readonly serial: Serial
  readonly tail: Pick<Tail, 'applyUpTo'>
  /** Loads everything anew from the database and puts it in the place of what is in memory. */
  readonly reload: () => Promise<void>
  /** The database answers again after so long: renewals of leases may have been missed. */
  readonly onReturn: (awayMs: number) => void
  readonly log: Logger
}

/**
 * Keeps this instance equal to a database that others write to as well: takes over their commits when told of them,
 * when a read needs them and when a write was refused because of them.
 *
 * INVARIANTS: memory changes only within the serial section, which own commits share; an error never ends the
 * following: it is tried again until the database answers.
 */
export class Follower {
  readonly #deps: FollowerDeps
  readonly #heads: Heads
  #trust: Trust = 'certain'
  /** When the database was first found away, on the monotonic clock. */
  #awaySince: number | undefined
  /** When a commit first failed after the last one that succeeded. */
  #refusingSince: number | undefined
  #advancing: { target: Head; readonly done: Promise<void> } | undefined
  #subscription: AsyncDisposable | undefined
  #retryTimer: NodeJS.Timeout | undefined
  #failures = 0
  #stopped = false

  constructor(deps: FollowerDeps) {
    this.#deps = deps
    this.#heads = new Heads(deps.shared)
  }

  /** Whether a write may be evaluated on what is in memory without asking the database first. */
  get certain(): boolean {
    return this.#trust === 'certain'
  }

  /** Whether the database does not answer at present. */
  get away(): boolean {
    return this.#awaySince !== undefined
  }

  /** Begins to listen for commits of others. */
  start(): void {
    this.#subscription = this.#deps.shared.follow((revision) => this.#onHead(revision))
  }

  /** Everything that was committed anywhere before the call has been applied when this resolves. @throws StoreError */
  async linearize(): Promise<void> {
    const { applier, serial } = this.#deps
    const before = applier.head
    const head = await this.#observe(this.#heads.fresh())
    if (this.#trust === 'broken' || !includes(head, before)) return serial.run(() => this.catchUp())
    if (!includes(applier.head, head)) await this.#advance(head)
  }

  /** As `linearize`, for who is in the serial section already. Makes memory certain again. @throws StoreError */
  async catchUp(): Promise<void> {
    await this.catchUpTo(await this.#observe(this.#heads.fresh()))
  }

  /** Within the serial section: applies everything up to a head that was read within it. @throws StoreError */
  async catchUpTo(head: Head): Promise<void> {
    const { applier, tail, log } = this.#deps
    if (this.#trust !== 'broken' && sameHead(applier.head, head)) {
      this.#trust = 'certain'
      return
    }
    try {
      if (this.#trust === 'broken') throw new Error('memory and log do not agree')
      if (!includes(head, applier.head))
        throw new Error(`the log ends at revision ${head.revision}, earlier than known`)
      await this.#observe(tail.applyUpTo(head))
    } catch (error) {
      if (isAway(error) || this.#stopped) throw error
      this.#trust = 'broken'
      log.warn('cannot go on from the log, loading the database again', { err: errorMessage(error) })
      await this.#observe(this.#deps.reload())
    }
    this.#trust = 'certain'
  }

  /** An own commit has an unknown outcome: whether the log holds it is seen before anything is written on top. */
  doubt(error: unknown): void {
    if (this.#trust === 'certain') this.#trust = 'uncertain'
    if (this.#refusingSince === undefined) {
      this.#refusingSince = performance.now()
      this.#deps.log.warn('the database has not confirmed a commit', { err: reasonOf(error) })
    }
    this.#retryLater()
  }

  /** An own commit has succeeded. */
  confirm(): void {
    if (this.#refusingSince === undefined) return
    const refusedMs = Math.round(performance.now() - this.#refusingSince)
    this.#refusingSince = undefined
    this.#deps.log.info('the database confirms commits again', { durationMs: refusedMs })
    this.#deps.onReturn(refusedMs)
  }

  /** Something impossible has happened: memory is loaded anew before it is used again for a write. */
  distrust(error: unknown): void {
    this.#deps.log.error('the state in memory cannot be trusted', { err: errorMessage(error) })
    this.#trust = 'broken'
    this.#retryLater()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#retryTimer)
    await this.#subscription?.[Symbol.asyncDispose]()
    await this.#deps.serial.idle()
  }

  #onHead(revision: Revision | undefined): void {
    if (this.#stopped || (revision !== undefined && revision <= this.#deps.applier.revision)) return
    this.#poll()
  }

  #poll(): void {
    this.linearize().then(
      () => (this.#failures = 0),
      () => this.#retryLater(),
    )
  }

  #retryLater(): void {
    if (this.#stopped || this.#retryTimer !== undefined) return
    this.#retryTimer = setTimeout(
      () => {
        this.#retryTimer = undefined
        this.#poll()
      },
      backoffMs(this.#failures, RETRY),
    )
    this.#failures += 1
  }

  /** One section for all who wait; a head that is asked for while it waits its turn is included. */
  #advance(head: Head): Promise<void> {
    if (this.#advancing !== undefined) {
      if (!includes(this.#advancing.target, head)) this.#advancing.target = head
      return this.#advancing.done
    }
    const advancing = { target: head, done: Promise.resolve() }
    advancing.done = this.#deps.serial.run(async () => {
      this.#advancing = undefined
      // What ran before may have led as far, or further in part: leases are read ahead of the rows.
      const { head: applied } = this.#deps.applier
      if (includes(applied, advancing.target)) return
      await (includes(advancing.target, applied) ? this.catchUpTo(advancing.target) : this.catchUp())
    })
    this.#advancing = advancing
    return advancing.done
  }

  /** Notes whether the database answers. */
  async #observe<T>(answer: Promise<T>): Promise<T> {
    try {
      const value = await answer
      this.#onAnswer()
      return value
    } catch (error) {
      if (isAway(error)) this.#onAway(error)
      throw error
    }
  }

  #onAway(error: unknown): void {
    if (this.#awaySince !== undefined) return
    this.#awaySince = performance.now()
    this.#deps.log.warn('the database does not answer, writes and consistent reads fail until it does', {
      err: reasonOf(error),
    })
  }

  #onAnswer(): void {
    if (this.#awaySince === undefined) return
    const awayMs = Math.round(performance.now() - this.#awaySince)
    this.#awaySince = undefined
    this.#deps.log.info('the database answers again', { durationMs: awayMs })
    this.#deps.onReturn(awayMs)
  }
}

function reasonOf(error: unknown): string {
  return errorMessage(error instanceof Error && error.cause !== undefined ? error.cause : error)
}

/** Not an answer of the database; anything else it says is one. */
function isAway(error: unknown): boolean {
  return error instanceof StoreError && error.kind === 'unavailable'
}
