import { errorMessage } from '#pkg/errors/error.ts'
import type { Applier } from '#pkg/kine/apply.ts'
import type { Revision } from '#pkg/kine/backend.ts'
import type { Head, SharedLog } from '#pkg/kine/dialect/dialect.ts'
import { includes, sameHead } from '#pkg/kine/dialect/heads.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { Availability, isUnavailable } from '#pkg/kine/follow/availability.ts'
import { Heads } from '#pkg/kine/follow/heads.ts'
import type { Serial } from '#pkg/kine/follow/serial.ts'
import type { Tail } from '#pkg/kine/follow/tail.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Pause before the head is asked for again while the database is away. */
const RETRY = { initialMs: 100, maxMs: 1000, jitter: 0.5 }

/**
 * What is known of the memory of this instance: `certain`, it is the log up to the applied head; `unverified`, the
 * database was away or has not confirmed a commit, and what answers now may have gone on by that commit, or be a replica
 * that lagged behind, or a backup; `broken`, something impossible was seen.
 */
type Trust = 'certain' | 'unverified' | 'broken'

/** What Follower works with. */
export interface FollowerDeps {
  readonly shared: SharedLog
  readonly applier: Applier
  readonly serial: Serial
  readonly tail: Pick<Tail, 'applyUpTo' | 'assertSameHistory'>
  /**
   * Loads everything anew from the database and puts it in the place of what is in memory. `sameHistory`: what has been
   * published so far is still true.
   */
  readonly reload: (sameHistory: boolean) => Promise<void>
  /** The database answers again after so long: renewals of leases may have been missed. */
  readonly onReturn: (awayMs: number) => void
  readonly log: Logger
}

/**
 * Keeps this instance equal to a database that others write to as well: takes over their commits when told of them,
 * when a read needs them and when a write was refused because of them.
 *
 * INVARIANTS: memory changes only within the serial section, which own commits share, or lend while they wait for the
 * database (writer/shared-commits.ts); an error never ends the following: it is tried again until the database answers.
 */
export class Follower {
  readonly #deps: FollowerDeps
  readonly #heads: Heads
  readonly #availability: Availability
  #trust: Trust = 'certain'
  #ownRevision: Revision = 0
  #advancing: { target: Head; readonly done: Promise<void> } | undefined
  #subscription: AsyncDisposable | undefined
  #retryTimer: NodeJS.Timeout | undefined
  #failures = 0
  #stopped = false

  constructor(deps: FollowerDeps) {
    this.#deps = deps
    this.#heads = new Heads(deps.shared)
    this.#availability = new Availability({ onReturn: (awayMs) => this.#onReturn(awayMs), log: deps.log })
  }

  /** Whether a write may be evaluated on what is in memory without asking the database first. */
  get certain(): boolean {
    return this.#trust === 'certain' && !this.#availability.away
  }

  /** Whether the database does not answer at present. */
  get away(): boolean {
    return this.#availability.away
  }

  /** Begins to listen for commits of others. */
  start(): void {
    this.#subscription = this.#deps.shared.follow((revision) => this.#onHead(revision))
  }

  /** Everything that was committed anywhere before the call has been applied when this resolves. @throws StoreError */
  async linearize(): Promise<void> {
    const { applier, serial } = this.#deps
    const before = applier.head
    const head = await this.#availability.observe(this.#heads.fresh())
    const plausible = this.certain && includes(head, before) && agree(before, head)
    if (!plausible) return serial.borrow(() => this.catchUp())
    if (!includes(applier.head, head)) await this.#advance(head)
  }

  /** As `linearize`, for who is in the serial section already. Makes memory certain again. @throws StoreError */
  async catchUp(): Promise<void> {
    await this.catchUpTo(await this.#availability.observe(this.#heads.fresh()))
  }

  /** Within the serial section: applies everything up to a head that was read within it. @throws StoreError */
  async catchUpTo(head: Head): Promise<void> {
    const { reload, log } = this.#deps
    try {
      await this.#availability.observe(this.#goOnTo(head))
    } catch (error) {
      if (isUnavailable(error) || this.#stopped) throw error
      const sameHistory = this.#trust !== 'broken' && isCompacted(error)
      this.#trust = 'broken'
      log.warn('cannot go on from the log, loading the database again', { err: errorMessage(error) })
      await this.#availability.observe(reload(sameHistory))
    }
    this.#trust = 'certain'
  }

  /** As `catchUpTo`, of a head that is older than what has been applied, perhaps, or older in part. @throws StoreError */
  async reach(head: Head): Promise<void> {
    const { head: applied } = this.#deps.applier
    if (includes(applied, head)) return
    await (includes(head, applied) ? this.catchUpTo(head) : this.catchUp())
  }

  /**
   * Within the serial section: waits for an own commit to `revision`, or for the lock on the head, and follows others
   * meanwhile if that takes long. Being told of `revision` is no reason to ask the database at once, since the outcome
   * will tell as much; what may have been missed by that is asked for when the turn is lent.
   */
  async during<T>(waiting: Promise<T>, revision: Revision = 0): Promise<T> {
    this.#ownRevision = revision
    try {
      return await this.#deps.serial.lend(waiting, () => {
        this.#ownRevision = 0
        if (revision > 0 && !this.#stopped) this.#poll()
      })
    } finally {
      this.#ownRevision = 0
    }
  }

  /** An own commit has an unknown outcome: whether the log holds it is seen before anything is written on top. */
  doubt(error: unknown): void {
    if (this.#trust === 'certain') this.#trust = 'unverified'
    this.#availability.refused(error)
    this.#retryLater()
  }

  /** An own commit has succeeded. */
  confirm(): void {
    this.#availability.confirmed()
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

  async #goOnTo(head: Head): Promise<void> {
    const { applier, tail } = this.#deps
    if (this.#trust === 'broken') throw new Error('memory and log do not agree')
    if (this.#trust === 'unverified') await tail.assertSameHistory()
    if (sameHead(applier.head, head)) return
    if (!includes(head, applier.head)) throw new Error(`the log ends at revision ${head.revision}, earlier than known`)
    await tail.applyUpTo(head)
    if (!agree(applier.head, head)) throw new Error(`revision ${head.revision} is not the one that is known`)
  }

  #onHead(revision: Revision | undefined): void {
    if (this.#stopped) return
    const known = Math.max(this.#deps.applier.revision, this.#ownRevision)
    if (revision === undefined || revision > known) this.#poll()
  }

  #onReturn(awayMs: number): void {
    if (this.#trust !== 'broken') this.#trust = 'unverified'
    this.#deps.onReturn(awayMs)
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
    advancing.done = this.#deps.serial.borrow(async () => {
      this.#advancing = undefined
      // What ran before may have led as far, or further in part: leases are read ahead of the rows.
      await this.reach(advancing.target)
    })
    this.#advancing = advancing
    return advancing.done
  }
}

/** At the same revision both must name the same row; what was applied may be ahead in leases. */
function agree(applied: Head, head: Head): boolean {
  return applied.revision !== head.revision || applied.lastId === head.lastId
}

function isCompacted(error: unknown): boolean {
  return error instanceof StoreError && error.kind === 'compacted'
}
