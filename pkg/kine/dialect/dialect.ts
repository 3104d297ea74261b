import type { AlarmChanges, AlarmMember } from '#pkg/kine/alarm/alarms.ts'
import type { Key, KeyRange, KeyVersion, LeaseId, LeaseRecord, Revision, RowId } from '#pkg/kine/backend.ts'

/**
 * The newest state of a database in four numbers, one row there: a commit is a compare-and-swap on it, so whoever
 * commits has seen everything before.
 */
export interface Head {
  /** 1 in a fresh store, as in etcd. */
  readonly revision: Revision
  /** Id of the newest row of the log, 0 in a fresh store. */
  readonly lastId: RowId
  /** -1 before the first compaction. */
  readonly compactRevision: Revision
  /** Raised by one with every commit that grants, renews or revokes leases, or changes alarms; 0 in a fresh store. */
  readonly leaseSeq: number
}

/** A change to be written; revision, id and the version fields were assigned by the writer. */
export interface NewRow {
  readonly now: KeyVersion
  readonly value: Buffer
  /** Newest row of the key before this one, a tombstone included; 0 for none, UNKNOWN_ROW if the log has to be searched. */
  readonly replacedId: RowId
  /** Row whose value is wanted back with the acknowledgement, 0 for none. */
  readonly previousId: RowId
}

/** A row that may exist or not. */
export const UNKNOWN_ROW = -1

/** What is committed as a whole, or not at all. */
export interface AppendBatch {
  /** In log order; revisions without gaps from `after.revision` + 1. */
  readonly rows: readonly NewRow[]
  /** Granted, renewed, or what is left of them: each is stored with the sequence number `next.leaseSeq`. */
  readonly leases: readonly LeaseRecord[]
  /** Of a shared database they stay as tombstones with the sequence number `next.leaseSeq`. */
  readonly revokedLeases: readonly LeaseId[]
  /** Undefined: none are raised or disarmed. */
  readonly alarms?: AlarmChanges | undefined
  /** The head that the batch was made on: whatever it is now, nothing may be committed on another one. */
  readonly after: Head
  /** The head once this is committed. A new compact revision is recorded before anything is deleted. */
  readonly next: Head
}

/** Whether the batch was committed; if not, somebody else has written since `after`, and nothing was changed. */
export type AppendResult =
  | {
      readonly committed: true
      /** Values of the rows asked for by `previousId`. */
      readonly previousValues: ReadonlyMap<RowId, Buffer>
    }
  | { readonly committed: false }

/** A row of the log with the version before its revision. */
export interface LogRow {
  readonly now: KeyVersion
  readonly value: Buffer
  /** Undefined when this row created the key, what it replaced has been compacted, or it was not asked for. */
  readonly previous: KeyVersion | undefined
  readonly previousValue: Buffer | undefined
}

/** A part of the log. */
export interface LogPage {
  readonly rows: readonly LogRow[]
  /** The page is complete up to this revision. */
  readonly through: Revision
}

/** What `readLog` reads. */
export interface LogQuery {
  readonly range: KeyRange
  readonly from: Revision
  /** Last revision wanted. */
  readonly to: Revision
  /** Rows looked at before a page ends, always behind a whole revision. */
  readonly maxRows: number
  /** Whether each row is wanted with the version before it; a follower knows that one already. */
  readonly withPrevious: boolean
}

/** What a store holds when it is opened; all of it belongs to the head. */
export interface StoredState extends Head {
  readonly clusterId: number
  readonly memberId: number
  /** Rows superseded at this revision have been deleted. */
  readonly prunedRevision: Revision
  readonly leases: readonly LeaseRecord[]
  readonly alarms: readonly AlarmMember[]
}

/** A lease as it is now. */
export interface LeaseChange {
  readonly id: LeaseId
  /** Undefined: revoked. */
  readonly record: LeaseRecord | undefined
}

/** Changes of leases since some sequence number, and all alarms. */
export interface LeaseChanges {
  readonly changes: readonly LeaseChange[]
  /** Not older than `seq`. */
  readonly alarms: readonly AlarmMember[]
  /** Sequence number that these lead to; it may be newer than the head that was read before. */
  readonly seq: number
  /** Tombstones after the number asked for have been pruned: `changes` is the complete list of leases instead. */
  readonly reset: boolean
}

/** A row of the table `kine` of the upstream program (schema of v0.17.5 and before). */
export interface UpstreamRow {
  /** The revision. */
  readonly id: number
  readonly name: Key
  readonly created: boolean
  readonly deleted: boolean
  /** 0 where the row created the key. */
  readonly createRevision: Revision
  readonly previousRevision: Revision
  /** Time to live in seconds; 0 for none. */
  readonly lease: number
  readonly value: Buffer
}

/** Outcome of one slice of pruning. */
export interface PruneResult {
  readonly deleted: number
  /** Everything superseded at `through` is gone. */
  readonly done: boolean
  /** Another instance is at it: nothing was done; to be asked again later, until `done`. */
  readonly elsewhere?: boolean
}

/**
 * The only database-specific part: statements and the translation of errors. One folder per database implements it.
 * Every method may reject with StoreError 'no-space' or 'unavailable', and does so soon when the database is away;
 * it reconnects by itself.
 */
export interface Dialect {
  /**
   * Of a shared database it rejects with 'unavailable' while that is away; the store then opens it again. A database
   * that holds the table of an upstream kine and none of ours gets an empty store with the compact revision
   * IMPORT_PENDING (import/incomplete.ts).
   */
  open(): Promise<StoredState>
  /**
   * Newest version of every key, tombstones included, in an order of the database's own: from its beginning, or behind
   * the last key of the page before; a page of any size, empty at the end. What is committed after the first page was
   * asked for may be missing.
   */
  readIndex(after: Key | undefined): Promise<readonly KeyVersion[]>
  /**
   * Commits the batch if the head is still `batch.after`; resolves once durable. Of a shared database a rejection
   * leaves open whether it was committed, or still will be; it must be possible to read the head at once.
   */
  append(batch: AppendBatch): Promise<AppendResult>
  /** The values of these rows; a row that does not exist is missing in the map. */
  readValues(ids: readonly RowId[]): Promise<ReadonlyMap<RowId, Buffer>>
  /**
   * Newest version of each key at `revision`, undefined where there is none; tombstones count as versions. `newerIds`
   * are rows of the keys, in their order, with a later revision. Of a shared database it rejects with 'compacted' if, as
   * of this read, pruning at a later revision has begun.
   */
  readVersions(
    keys: readonly Key[],
    revision: Revision,
    newerIds: readonly RowId[],
  ): Promise<readonly (KeyVersion | undefined)[]>
  /**
   * Rows of a range in log order. Of a shared database it rejects with 'compacted' if, as of this read, pruning at a
   * revision above `from` has begun: rows may be missing, and this instance may not know of the compaction yet.
   */
  readLog(query: LogQuery): Promise<LogPage>
  /** Rows of an upstream kine's table with a higher id, in their order; a page of any size, empty at the end. */
  readUpstream?(after: number): Promise<readonly UpstreamRow[]>
  /**
   * Deletes some of the rows that etcd's compaction at `through` deletes; called again until done. In a shared database
   * it records `through` as begun, durably, before the first row goes.
   */
  prune(through: Revision): Promise<PruneResult>
  /** Allocated and used bytes. */
  size(): Promise<{ readonly bytes: number; readonly inUseBytes: number }>
  defragment(): Promise<void>
  /** Finishes what runs and closes cleanly. */
  close(): Promise<void>
  /** Undefined if one process has the database to itself. */
  readonly shared: SharedLog | undefined
}

/** Of databases that several instances use at once. */
export interface SharedLog {
  /** Newest committed head; rejects with 'unavailable' within 1.5 s. */
  head(): Promise<Head>
  /**
   * Calls `onHead` whenever somebody, this instance too, may have committed: with the new revision, or undefined if
   * that is unknown or only leases or the compact revision have changed. Survives reconnects, and calls after each.
   */
  follow(onHead: (revision: Revision | undefined) => void): AsyncDisposable
  /**
   * Locks the head on the connection that writes; the next append is made under the lock and ends it, whatever comes
   * of it. Disposing without an append lets the lock go, after one it does nothing. The database itself must end the
   * lock of an instance that stops for more than some seconds.
   */
  lock(): Promise<HeadLock>
  /** Changes of leases after `seq`, in one consistent read, and the alarms. */
  leasesAfter(seq: number): Promise<LeaseChanges>
}

/** The lock on the head, and what the head is for as long as it is held. */
export interface HeadLock extends AsyncDisposable {
  readonly head: Head
}
