import type { ChangeEvent, KeyVersion, LeaseRecord, Revision, RowId } from '#pkg/kine/backend.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import type { Ring } from '#pkg/kine/ring/ring.ts'
import { encodeKeyValue, encodeTombstone } from '#pkg/kine/wire/key-value.ts'

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
  readonly leases: ReadonlyMap<number, LeaseRecord | undefined>
  readonly compactRevision: Revision | undefined
  /** Encoded mvccpb.KeyValue of a replaced version if it is in memory. */
  readonly previousKv: (version: KeyVersion) => Buffer | undefined
}

/** What a commit changes. */
export interface AppliedState {
  readonly index: KeyIndex
  readonly ring: Ring
  readonly lessor: Lessor
  /** Told of every batch of events once the state includes them. */
  readonly publish: (events: readonly ChangeEvent[]) => void
}

/**
 * The one publish point: takes commits in order and makes each visible at once, in index, leases, ring and revision,
 * then to the watchers. "Everything up to `revision` has been published" is therefore a comparison of numbers.
 *
 * INVARIANTS: synchronous (no reader sees half a commit); revisions rise without gaps.
 */
export class Applier {
  readonly #state: AppliedState
  #revision: Revision
  #lastId: RowId
  #compactRevision: Revision

  constructor(
    state: AppliedState,
    start: { readonly revision: Revision; readonly lastId: RowId; readonly compactRevision: Revision },
  ) {
    this.#state = state
    this.#revision = start.revision
    this.#lastId = start.lastId
    this.#compactRevision = start.compactRevision
  }

  get revision(): Revision {
    return this.#revision
  }

  get lastId(): RowId {
    return this.#lastId
  }

  get compactRevision(): Revision {
    return this.#compactRevision
  }

  apply(commit: Commit): void {
    const { index, ring, lessor, publish } = this.#state
    for (const record of commit.leases.values()) if (record !== undefined) lessor.put(record)
    const events: ChangeEvent[] = []
    for (const { now, value, replaced, previous } of commit.changes) {
      this.#advance(now)
      lessor.moveKey(replaced, now)
      index.apply(now)
      const kv = now.version === 0 ? encodeTombstone(now) : encodeKeyValue(now, value)
      events.push({ now, kv, previous, previousKv: previous && this.#previousKv(previous, events, commit) })
    }
    for (const [id, record] of commit.leases) if (record === undefined) lessor.drop(id)
    if (commit.compactRevision !== undefined) this.#compactRevision = commit.compactRevision
    if (events.length === 0) return
    ring.append(events)
    publish(events)
  }

  #advance({ id, modRevision }: KeyVersion): void {
    if (modRevision !== this.#revision && modRevision !== this.#revision + 1) {
      throw new RangeError(`revision ${modRevision} follows ${this.#revision}`)
    }
    this.#revision = modRevision
    this.#lastId = id
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
