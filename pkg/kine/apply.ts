import type { AlarmMember, Alarms } from '#pkg/kine/alarm/alarms.ts'
import type { ChangeEvent, KeyVersion, LeaseId, LeaseRecord, Revision } from '#pkg/kine/backend.ts'
import type { Head } from '#pkg/kine/dialect/dialect.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import { changeEvent } from '#pkg/kine/ring/change-event.ts'
import type { Ring } from '#pkg/kine/ring/ring.ts'

/** A committed change. */
export interface CommittedChange {
  readonly now: KeyVersion
  readonly value: Buffer
  /** The version that it replaces. */
  readonly replaced: KeyVersion | undefined
  /** The version before its revision; undefined if it creates the key. */
  readonly previous: KeyVersion | undefined
}

/** A commit, in log order. */
export interface Commit {
  readonly changes: readonly CommittedChange[]
  /** Granted or renewed (record) and revoked (undefined). */
  readonly leases: ReadonlyMap<LeaseId, LeaseRecord | undefined>
  /** All that are raised; undefined: as before. */
  readonly alarms?: readonly AlarmMember[] | undefined
  /** What it leads to. */
  readonly head: Head
  /** Encoded mvccpb.KeyValue of a replaced version if it is in memory. */
  readonly previousKv: (version: KeyVersion) => Buffer | undefined
}

/** What a commit changes. */
export interface AppliedState {
  readonly index: KeyIndex
  readonly ring: Ring
  readonly lessor: Lessor
  readonly alarms: Alarms
  /** Told of every batch of events once the state includes them. */
  readonly publish: (events: readonly ChangeEvent[]) => void
  /** Told once leases were granted or renewed. */
  readonly onLeases: () => void
  /** Told once the compact revision has risen. */
  readonly onCompaction: (revision: Revision) => void
}

/**
 * The one publish point: takes commits in order and makes each visible at once, in index, leases, alarms, ring and revision,
 * then to the watchers. "Everything up to `revision` has been published" is therefore a comparison of numbers.
 *
 * INVARIANTS: synchronous (no reader sees half a commit); revisions rise without gaps, ids rise.
 */
export class Applier {
  readonly #state: AppliedState
  #head: Head
  #newest: KeyVersion | undefined

  constructor(state: AppliedState, head: Head) {
    this.#state = state
    this.#head = head
  }

  /** Everything up to here has been applied and published. */
  get head(): Head {
    return this.#head
  }

  /** The last change that was applied, undefined if there was none since everything was loaded. */
  get newest(): KeyVersion | undefined {
    return this.#newest
  }

  get revision(): Revision {
    return this.#head.revision
  }

  get compactRevision(): Revision {
    return this.#head.compactRevision
  }

  /** The state has been replaced as a whole by that of `head`. */
  reset(head: Head): void {
    this.#head = head
    this.#newest = undefined
  }

  apply(commit: Commit): void {
    const { index, ring, lessor, alarms, publish, onLeases, onCompaction } = this.#state
    assertFollows(this.#head, commit)
    for (const record of commit.leases.values()) if (record !== undefined) lessor.put(record)
    const events: ChangeEvent[] = []
    for (const { now, value, replaced, previous } of commit.changes) {
      lessor.moveKey(replaced, now)
      index.apply(now)
      const previousKv = previous && this.#previousKv(previous, events, commit)
      events.push(changeEvent(now, value, previous, previousKv))
    }
    for (const [id, record] of commit.leases) if (record === undefined) lessor.drop(id)
    if (commit.alarms !== undefined) alarms.replace(commit.alarms)
    const { compactRevision } = this.#head
    this.#head = commit.head
    if (events.length > 0) {
      this.#newest = events.at(-1)?.now
      ring.append(events)
      publish(events)
    }
    if (commit.leases.size > 0) onLeases()
    if (commit.head.compactRevision > compactRevision) onCompaction(commit.head.compactRevision)
  }

  /** The replaced version may be one of this very commit. */
  #previousKv(previous: KeyVersion, events: readonly ChangeEvent[], commit: Commit): Buffer | undefined {
    const known = commit.previousKv(previous)
    if (known !== undefined) return known
    for (let i = events.length - 1; i >= 0; i -= 1) {
      const event = events[i]
      if (event === undefined || event.now.id < previous.id) return undefined
      if (event.now.id === previous.id) return event.kv
    }
    return undefined
  }
}

/** Before anything is changed: a gap or a repetition would be a fault of this program or of the database. */
function assertFollows(head: Head, { changes, head: next }: Commit): void {
  let { revision, lastId } = head
  for (const { now } of changes) {
    const follows = now.modRevision === revision + 1 || (now.modRevision === revision && revision > head.revision)
    if (!follows || now.id <= lastId) {
      throw new RangeError(`row ${now.id} of revision ${now.modRevision} follows ${lastId} of ${revision}`)
    }
    revision = now.modRevision
    lastId = now.id
  }
  if (next.revision !== revision || next.lastId !== lastId) {
    throw new RangeError(`head ${next.revision} follows revision ${revision}`)
  }
}
