import { alarmChanges, withAlarm, withoutAlarm } from '#pkg/kine/alarm/alarms.ts'
import type { AlarmMember, Alarms } from '#pkg/kine/alarm/alarms.ts'
import type { Key, KeyRange, KeyVersion, LeaseId, LeaseRecord, Revision, RowId } from '#pkg/kine/backend.ts'
import { ROWS_PER_REVISION } from '#pkg/kine/backend.ts'
import type { AppendBatch, Head } from '#pkg/kine/dialect/dialect.ts'
import { identity } from '#pkg/kine/keys.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import type { VersionView } from '#pkg/kine/read/range.ts'

/** A change of the batch with what it replaced. */
export interface PendingChange {
  readonly now: KeyVersion
  readonly value: Buffer
  /** The version that it replaces. */
  readonly replaced: KeyVersion | undefined
  /** Its row, or that of the tombstone which this change follows; 0 for none. */
  readonly replacedId: RowId
  /** The version before this revision: not `replaced` if the same transaction has changed the key before. */
  readonly before: KeyVersion | undefined
  /** What a watcher is told as previous: `before`, unless this change creates the key. */
  readonly previous: KeyVersion | undefined
}

/** The committed state that a batch starts from. */
export interface BatchBase {
  readonly index: KeyIndex
  readonly lessor: Lessor
  readonly alarms: Pick<Alarms, 'list'>
  readonly head: Head
}

const EMPTY: Buffer = Buffer.alloc(0)

/**
 * The state that the writes of one commit see and build: the index with the batch's own changes over it. Nothing here
 * is visible to readers before apply.ts publishes it.
 *
 * INVARIANTS: the base does not change while a batch is open (only the writer publishes); `revision` moves only by
 * `endRevision`, so all changes between two calls share one revision, in the order of their ids.
 */
export class Batch implements VersionView {
  readonly changes: PendingChange[] = []
  readonly leases = new Map<LeaseId, LeaseRecord | undefined>()
  /** The head's, or a higher one that is to be set. */
  compactRevision: Revision
  /** Bytes of the values written. */
  bytes = 0
  readonly #base: BatchBase
  readonly #alarmsBefore: readonly AlarmMember[]
  #alarms: readonly AlarmMember[]
  /** Newest version of changed keys by the bytes of the key as latin1 text, tombstones included. */
  readonly #changed = new Map<string, KeyVersion>()
  #revision: Revision
  #lastId: RowId
  #changesAtRevisionStart = 0

  constructor(base: BatchBase) {
    this.#base = base
    this.#alarmsBefore = this.#alarms = base.alarms.list()
    this.#revision = base.head.revision
    this.#lastId = base.head.lastId
    this.compactRevision = base.head.compactRevision
  }

  /** Revision of the last finished write. */
  get revision(): Revision {
    return this.#revision
  }

  /** The open write has changed something. */
  get dirty(): boolean {
    return this.changes.length > this.#changesAtRevisionStart
  }

  /** Something must be committed. */
  get worthCommitting(): boolean {
    const { head } = this.#base
    return this.changes.length > 0 || this.#beyondRevisions || this.compactRevision !== head.compactRevision
  }

  /** All that are raised then. */
  get alarms(): readonly AlarmMember[] {
    return this.#alarms
  }

  /** Ends one write; its changes, if any, get the next revision. */
  endRevision(): Revision {
    if (this.dirty) this.#revision += 1
    this.#changesAtRevisionStart = this.changes.length
    return this.#revision
  }

  get(key: Key): KeyVersion | undefined {
    const changed = this.#changed.size === 0 ? undefined : this.#changed.get(identity(key))
    if (changed !== undefined) return changed.version === 0 ? undefined : changed
    return this.#base.index.get(key)
  }

  count(range: KeyRange): number {
    let count = this.#base.index.count(range)
    for (const version of this.#changedIn(range)) {
      const before = this.#base.index.get(version.key) === undefined ? 0 : 1
      count += (version.version === 0 ? 0 : 1) - before
    }
    return count
  }

  list(range: KeyRange, limit: number): readonly KeyVersion[] {
    const changed = this.#changedIn(range)
    if (changed.length === 0) return this.#base.index.list(range, limit)
    const unchanged = this.#base.index.list(range).filter(({ key }) => !this.#changed.has(identity(key)))
    const live = changed.filter(({ version }) => version > 0)
    const all = [...unchanged, ...live].sort((a, b) => a.key.compare(b.key))
    return limit > 0 ? all.slice(0, limit) : all
  }

  put(key: Key, value: Buffer, lease: LeaseId): KeyVersion {
    const previous = this.get(key)
    const modRevision = this.#revision + 1
    const now: KeyVersion = {
      key,
      id: this.#nextId(),
      modRevision,
      createRevision: previous?.createRevision ?? modRevision,
      version: (previous?.version ?? 0) + 1,
      lease,
      valueSize: value.length,
    }
    this.#add({ now, value, replaced: previous })
    return now
  }

  delete(previous: KeyVersion): void {
    const { key, createRevision } = previous
    const modRevision = this.#revision + 1
    const now = { key, id: this.#nextId(), modRevision, createRevision, version: 0, lease: 0, valueSize: 0 }
    this.#add({ now, value: EMPTY, replaced: previous })
  }

  raise(member: AlarmMember): void {
    this.#alarms = withAlarm(this.#alarms, member)
  }

  /** Whether it was raised. */
  disarm(member: AlarmMember): boolean {
    const before = this.#alarms
    this.#alarms = withoutAlarm(before, member)
    return this.#alarms !== before
  }

  hasLease(id: LeaseId): boolean {
    return this.lease(id) !== undefined
  }

  lease(id: LeaseId): LeaseRecord | undefined {
    return this.leases.has(id) ? this.leases.get(id) : this.#base.lessor.record(id)
  }

  /** Live keys attached to a lease, in key order. */
  keysOfLease(id: LeaseId): KeyVersion[] {
    const committed = this.#base.lessor.keys(id).map((key) => this.get(key))
    const attached = [...this.#changed.values()].filter((version) => version.version > 0)
    const byKey = new Map<string, KeyVersion>()
    for (const version of [...committed, ...attached]) {
      if (version?.lease === id) byKey.set(identity(version.key), version)
    }
    return [...byKey.values()].sort((a, b) => a.key.compare(b.key))
  }

  /** The head once this is committed. */
  get head(): Head {
    const leaseSeq = this.#base.head.leaseSeq + (this.#beyondRevisions ? 1 : 0)
    return { revision: this.#revision, lastId: this.#lastId, compactRevision: this.compactRevision, leaseSeq }
  }

  /** What the dialect commits; `needsPrevious` tells which changes need the value that they replaced read along. */
  toAppend(needsPrevious: (change: PendingChange) => boolean): AppendBatch {
    const records = [...this.leases.values()].filter((record) => record !== undefined)
    return {
      rows: this.changes.map((change) => ({
        now: change.now,
        value: change.value,
        replacedId: change.replacedId,
        previousId: change.previous !== undefined && needsPrevious(change) ? change.previous.id : 0,
      })),
      leases: records,
      revokedLeases: [...this.leases].filter(([, record]) => record === undefined).map(([id]) => id),
      ...(this.#alarms !== this.#alarmsBefore && { alarms: alarmChanges(this.#alarmsBefore, this.#alarms) }),
      after: this.#base.head,
      next: this.head,
    }
  }

  /** Leases or alarms change, which have no revision. */
  get #beyondRevisions(): boolean {
    return this.leases.size > 0 || this.#alarms !== this.#alarmsBefore
  }

  #nextId(): RowId {
    return Math.max(this.#lastId + 1, (this.#revision + 1) * ROWS_PER_REVISION)
  }

  #add(change: Omit<PendingChange, 'replacedId' | 'before' | 'previous'>): void {
    const { now, value, replaced } = change
    this.#lastId = now.id
    this.bytes += value.length
    const name = identity(now.key)
    // Nested transactions may change a key twice; the version before both is what a watcher is told.
    const again = this.#changed.get(name)?.modRevision === now.modRevision
    const replacedId = (replaced ?? this.#changed.get(name) ?? this.#base.index.newest(now.key))?.id ?? 0
    const before = again ? this.changes.findLast((other) => other.now.key.equals(now.key))?.before : replaced
    const created = now.version > 0 && now.createRevision === now.modRevision
    this.changes.push({ now, value, replaced, replacedId, before, previous: created ? undefined : before })
    this.#changed.set(name, now)
  }

  #changedIn({ start, end }: KeyRange): KeyVersion[] {
    if (this.#changed.size === 0) return []
    if (end === undefined) {
      const version = this.#changed.get(identity(start))
      return version === undefined ? [] : [version]
    }
    return [...this.#changed.values()].filter(
      ({ key }) => key.compare(start) >= 0 && (end.length === 0 || key.compare(end) < 0),
    )
  }
}
