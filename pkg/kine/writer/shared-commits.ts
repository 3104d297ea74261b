import type { Applier } from '#pkg/kine/apply.ts'
import type { SharedLog } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { sameHead } from '#pkg/kine/follow/heads.ts'
import type { Follower } from '#pkg/kine/follow/follower.ts'
import type { Attempt, Write } from '#pkg/kine/writer/attempt.ts'

/** Commits under the lock after the last one that somebody else had written before. */
const LOCKED_ROUNDS = 3

/** What SharedCommits works with. */
export interface SharedCommitsDeps {
  readonly shared: Pick<SharedLog, 'lock'>
  readonly applier: Pick<Applier, 'head'>
  readonly follower: Pick<Follower, 'certain' | 'catchUp' | 'catchUpTo' | 'expect' | 'doubt' | 'confirm'>
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
    await using lock = await shared.lock()
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
    follower.expect(attempt.batch.revision)
    try {
      committed = await commit(attempt)
    } catch (error) {
      attempt.discard()
      follower.doubt(error)
      throw error
    } finally {
      follower.expect(0)
    }
    if (committed) follower.confirm()
    return committed
  }
}
