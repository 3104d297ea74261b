import type { Applier } from '#pkg/kine/apply.ts'
import type { SharedLog } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { sameHead } from '#pkg/kine/dialect/heads.ts'
import type { Follower } from '#pkg/kine/follow/follower.ts'
import type { Attempt, Write } from '#pkg/kine/writer/attempt.ts'

/** Commits under the lock after the last one that somebody else had written before. */
const LOCKED_ROUNDS = 3

/** What SharedCommits works with. */
export interface SharedCommitsDeps {
  readonly shared: Pick<SharedLog, 'lock'>
  readonly applier: Pick<Applier, 'head'>
  readonly follower: Pick<Follower, 'certain' | 'catchUp' | 'catchUpTo' | 'during' | 'doubt' | 'confirm'>
  /** Evaluates the writes on what has been applied. */
  readonly evaluate: (writes: readonly Write[]) => Promise<Attempt>
  /** Commits and applies; false if somebody else has written since. */
  readonly commit: (attempt: Attempt) => Promise<boolean>
}

/**
 * How writes are committed to a database that others write to as well: on the head that this instance knows, in one
 * round trip; if somebody else was faster, the same writes are evaluated again on what is there then, and committed
 * under the lock on the head, so that every round makes progress. It stays with the lock as long as others keep writing.
 *
 * While a commit or the lock waits for somebody else's lock, the follower may take over what the log holds, so that reads
 * need not wait as well. Then the head that the commit rests on has been left behind, and its swap
 * - fails, if others wrote what was applied: the writes are evaluated again, as ever; or
 * - has succeeded, if what was applied begins with its own rows, whose confirmation was on its way. They are applied
 *   already, or in part: the rest is taken from the log as well, never from the batch, so that nothing is applied twice.
 * Which of the two it is only the database can say: rows of others can look the same as own ones. Outcomes are told
 * after its answer in any case.
 *
 * INVARIANTS: within the serial section; outcomes that change nothing rest on a head that was the newest one after the
 * writes had been taken.
 */
export class SharedCommits {
  readonly #deps: SharedCommitsDeps
  /** Rounds still to be made under the lock. */
  #lockedRounds = 0

  constructor(deps: SharedCommitsDeps) {
    this.#deps = deps
  }

  /** Commits what the writes change; the attempt that is returned may be answered. @throws StoreError */
  async settle(writes: readonly Write[]): Promise<Attempt> {
    const { follower } = this.#deps
    if (!follower.certain) await follower.catchUp()
    if (this.#lockedRounds > 0) return this.#settleLocked(writes)
    const attempt = await this.#evaluateVerified(writes)
    if (!attempt.batch.worthCommitting || (await this.#commit(attempt))) return attempt
    attempt.discard()
    this.#lockedRounds = LOCKED_ROUNDS
    return this.#settleLocked(writes)
  }

  /** The commit verifies the state that it rests on; what changes nothing needs a look at the head instead. */
  async #evaluateVerified(writes: readonly Write[]): Promise<Attempt> {
    const { applier, follower, evaluate } = this.#deps
    const attempt = await evaluate(writes)
    if (attempt.batch.worthCommitting) return attempt
    const { head } = applier
    try {
      await follower.catchUp()
    } catch (error) {
      attempt.discard()
      throw error
    }
    if (sameHead(applier.head, head)) return attempt
    attempt.discard()
    return evaluate(writes)
  }

  async #settleLocked(writes: readonly Write[]): Promise<Attempt> {
    const { shared, applier, follower, evaluate } = this.#deps
    await using lock = await follower.during(shared.lock())
    this.#lockedRounds = sameHead(lock.head, applier.head) ? this.#lockedRounds - 1 : LOCKED_ROUNDS
    await follower.catchUpTo(lock.head)
    const attempt = await evaluate(writes)
    if (!attempt.batch.worthCommitting || (await this.#commit(attempt))) return attempt
    attempt.discard()
    throw new StoreError('unavailable', { cause: new Error('the database let somebody write under the lock') })
  }

  async #commit(attempt: Attempt): Promise<boolean> {
    const { follower, commit } = this.#deps
    let committed: boolean
    try {
      committed = await commit(attempt)
    } catch (error) {
      attempt.discard()
      follower.doubt(error)
      throw error
    }
    if (committed) follower.confirm()
    return committed
  }
}
