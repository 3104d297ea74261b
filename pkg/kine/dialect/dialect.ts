import type { Key, KeyRange, KeyVersion, LeaseRecord, Revision, RowId } from '#pkg/kine/backend.ts'

/** A change to be written; revision, id and the version fields were assigned by the writer. */
export interface NewRow {
  readonly now: KeyVersion
  readonly value: Buffer
  /** Row whose value is wanted back with the acknowledgement, 0 for none. */
  readonly previousId: RowId
}

/** What is committed as a whole, or not at all. */
export interface AppendBatch {
  /** In log order; revisions without gaps from the store's next one. */
  readonly rows: readonly NewRow[]
  readonly leases: readonly LeaseRecord[]
  readonly revokedLeases: readonly number[]
  /** New compact revision, recorded before anything is deleted. */
  readonly compactRevision: Revision | undefined
}

/** A row of the log with the version before its revision. */
export interface LogRow {
  readonly now: KeyVersion
  readonly value: Buffer
  /** Undefined when this row created the key, or when what it replaced has been compacted. */
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
}

/** What a store holds when it is opened. */
export interface StoredState {
  readonly clusterId: number
  readonly memberId: number
  /** 1 in a fresh store, as in etcd. */
  readonly revision: Revision
  readonly lastId: RowId
  readonly compactRevision: Revision
  /** Rows superseded at this revision have been deleted. */
  readonly prunedRevision: Revision
  readonly leases: readonly LeaseRecord[]
}

/** Outcome of one slice of pruning. */
export interface PruneResult {
  readonly deleted: number
  /** Everything superseded at `through` is gone. */
  readonly done: boolean
}

/**
 * The only database-specific part: statements and the translation of errors. One folder per database implements it.
 * Every method may reject with StoreError 'no-space' or 'unavailable'.
 */
export interface Dialect {
  open(): Promise<StoredState>
  /** Newest version of every key behind `after` in key order, tombstones included; a page of any size, empty at the end. */
  readIndex(after: Key | undefined): Promise<readonly KeyVersion[]>
  /** Commits the batch; resolves once durable, with the values of the rows asked for by `previousId`. */
  append(batch: AppendBatch): Promise<ReadonlyMap<RowId, Buffer>>
  /** The values of these rows; a row that does not exist is missing in the map. */
  readValues(ids: readonly RowId[]): Promise<ReadonlyMap<RowId, Buffer>>
  /** Newest version of each key at `revision`, undefined where there is none; tombstones count as versions. */
  readVersions(keys: readonly Key[], revision: Revision): Promise<readonly (KeyVersion | undefined)[]>
  /** Rows of a range in log order, each with the row before it. */
  readLog(query: LogQuery): Promise<LogPage>
  /** Deletes some of the rows that etcd's compaction at `through` deletes; called again until done. */
  prune(through: Revision): Promise<PruneResult>
  /** Allocated and used bytes. */
  size(): Promise<{ readonly bytes: number; readonly inUseBytes: number }>
  defragment(): Promise<void>
  /** Finishes what runs and closes cleanly. */
  close(): Promise<void>
}
