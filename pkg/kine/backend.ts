import type { Alarms, AlarmMember, AlarmType } from '#pkg/kine/alarm/alarms.ts'

/** Bytes as etcd sees them; compared bytewise, never as UTF-16. */
export type Key = Buffer

/** Store-wide, strictly increasing. Safe integer: int64 is converted, and range-checked, once in wire/reader.ts. */
export type Revision = number

/**
 * Any int64 but 0, which means none. Always in one form, so that `===` and Map keys work: a number if that is exact,
 * else a bigint. Converted once, in wire/.
 */
export type LeaseId = number | bigint

/**
 * Position of a row in the log, strictly increasing with the revision and with the order of changes inside one
 * transaction: `max(last + 1, revision * ROWS_PER_REVISION)`.
 */
export type RowId = number

/** Distance between the ids of two revisions; a transaction with more changes runs over into the next slots. */
export const ROWS_PER_REVISION = 1024

/** `[start, end)`; `end` undefined means the single key `start`, an empty `end` everything from `start` on. */
export interface KeyRange {
  readonly start: Key
  readonly end?: Key | undefined
}

/** One version of a key without its value: what the index holds and what a read plans with. */
export interface KeyVersion {
  readonly key: Key
  readonly id: RowId
  readonly modRevision: Revision
  /** First revision of this life of the key; of a tombstone: of the life that it ended. */
  readonly createRevision: Revision
  /** 1 after creation, +1 per put; 0 marks a tombstone. */
  readonly version: number
  /** Lease the key is attached to, 0 for none. */
  readonly lease: LeaseId
  readonly valueSize: number
}

/** One change of the log: what the ring holds and a watcher gets. */
export interface ChangeEvent {
  readonly now: KeyVersion
  /** Encoded mvccpb.KeyValue; of a deletion only key and mod_revision. */
  readonly kv: Buffer
  /** The version before, undefined when the key was created by this change. */
  readonly previous: KeyVersion | undefined
  /** Encoded mvccpb.KeyValue of `previous`, undefined while it has not been read. */
  previousKv: Buffer | undefined
}

/** Order of a range result; 'none' leaves key order for target 'key' and means ascending for the others, as in etcd. */
export type SortOrder = 'none' | 'ascend' | 'descend'
/** Field that a range result is ordered by. */
export type SortTarget = 'key' | 'version' | 'create' | 'mod' | 'value'

/** etcd RangeRequest. Zero means "not set" in every number. */
export interface RangeQuery {
  readonly range: KeyRange
  readonly limit: number
  readonly revision: Revision
  /** May be answered from what this instance knows, which may be older than what others have committed. */
  readonly serializable: boolean
  readonly sortOrder: SortOrder
  readonly sortTarget: SortTarget
  readonly keysOnly: boolean
  readonly countOnly: boolean
  readonly minModRevision: Revision
  readonly maxModRevision: Revision
  readonly minCreateRevision: Revision
  readonly maxCreateRevision: Revision
}

/** Versions in the asked order; the values are read afterwards by `Backend.loadKeyValues`. */
export interface RangeResult {
  /** Header revision: the store's at execution. */
  readonly revision: Revision
  readonly versions: readonly KeyVersion[]
  readonly more: boolean
  /** Keys of the whole range, whatever limit and filters. */
  readonly count: number
  readonly keysOnly: boolean
}

/** etcd PutRequest. */
export interface PutRequest {
  readonly key: Key
  readonly value: Buffer
  readonly lease: LeaseId
  readonly previousWanted: boolean
  readonly ignoreValue: boolean
  readonly ignoreLease: boolean
}

/** etcd DeleteRangeRequest. */
export interface DeleteRequest {
  readonly range: KeyRange
  readonly previousWanted: boolean
}

/** etcd Compare; `operand` is bytes for target 'value', a number for the others. */
export type Compare = {
  readonly range: KeyRange
  readonly result: 'equal' | 'greater' | 'less' | 'not-equal'
} & (
  | { readonly target: 'version' | 'create' | 'mod'; readonly operand: number }
  | { readonly target: 'lease'; readonly operand: LeaseId }
  | { readonly target: 'value'; readonly operand: Buffer }
)

/** etcd RequestOp. */
export type TxnOp =
  | { readonly type: 'range'; readonly query: RangeQuery }
  | { readonly type: 'put'; readonly request: PutRequest }
  | { readonly type: 'delete'; readonly request: DeleteRequest }
  | { readonly type: 'txn'; readonly request: TxnRequest }

/** etcd TxnRequest, already checked for duplicate keys and size by the server. */
export interface TxnRequest {
  readonly compares: readonly Compare[]
  readonly success: readonly TxnOp[]
  readonly failure: readonly TxnOp[]
}

/** etcd ResponseOp. */
export type TxnOpResult =
  | { readonly type: 'range'; readonly result: RangeResult }
  | { readonly type: 'put'; readonly revision: Revision; readonly previous: KeyVersion | undefined }
  | {
      readonly type: 'delete'
      readonly revision: Revision
      readonly deleted: number
      readonly previous: readonly KeyVersion[]
    }
  | { readonly type: 'txn'; readonly result: TxnResult }

/** etcd TxnResponse. */
export interface TxnResult {
  readonly revision: Revision
  readonly succeeded: boolean
  readonly responses: readonly TxnOpResult[]
}

/** A result whose rows compaction leaves alone until it is disposed of. */
export interface Pinned<T> extends Disposable {
  readonly value: T
}

/** A lease as it is written or was just read. */
export interface LeaseRecord {
  readonly id: LeaseId
  /** Granted time to live, seconds. */
  readonly ttlSeconds: number
  /**
   * Milliseconds until it expires, from the moment it is committed or was read; not above 0: it has expired. A shared
   * database gives what was left at the last commit of the lease: time in which nobody was there to count is not lost.
   */
  readonly remainingMs: number
}

/** State of one lease for LeaseTimeToLive. */
export interface LeaseState {
  readonly id: LeaseId
  readonly ttlSeconds: number
  readonly remainingSeconds: number
  readonly keys: readonly Key[]
}

/** Identity and figures of the store for response headers and Maintenance.Status. */
export interface StoreStatus {
  readonly clusterId: number
  readonly memberId: number
  readonly revision: Revision
  readonly compactRevision: Revision
  readonly sizeBytes: number
  readonly sizeInUseBytes: number
}

/** A hash over the history of a store. */
export interface KvHash {
  readonly hash: number
  /** Newest revision of the store. */
  readonly revision: Revision
  /** The hash is over the state at this revision and every change after it, */
  readonly compactRevision: Revision
  /** up to this one. */
  readonly hashRevision: Revision
}

/** What the etcd services need of a store. Errors: ./errors.ts; gRPC codes exist only in server/. */
export interface Backend {
  readonly clusterId: number
  readonly memberId: number
  /** Newest published revision. */
  readonly revision: Revision
  readonly compactRevision: Revision
  /** As far as this instance knows; a change that they forbid is refused. */
  readonly alarms: Pick<Alarms, 'list' | 'assertChangeable' | 'assertGrowable'>
  /** @throws CompactedError, FutureRevisionError */
  range(query: RangeQuery): Promise<Pinned<RangeResult>>
  /** Encoded mvccpb.KeyValue of each version, in order. */
  loadKeyValues(versions: readonly KeyVersion[]): Promise<readonly Buffer[]>
  /** One atomic transaction; resolves once durable and published. @throws StoreError */
  txn(request: TxnRequest): Promise<Pinned<TxnResult>>
  /** @throws CompactedError, FutureRevisionError */
  compact(revision: Revision): Promise<Revision>
  /** `id` 0 lets the store choose. @throws LeaseExistsError, LeaseTtlTooLargeError */
  leaseGrant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord>
  /** Deletes the keys of the lease in one revision. @throws LeaseNotFoundError */
  leaseRevoke(id: LeaseId): Promise<Revision>
  /** Full time to live again; undefined when there is no such lease. */
  leaseKeepAlive(id: LeaseId): Promise<LeaseRecord | undefined>
  leaseTimeToLive(id: LeaseId): Promise<LeaseState | undefined>
  leases(): Promise<readonly LeaseId[]>
  /** Those that are raised, of one type or all. */
  alarmList(type: AlarmType): Promise<readonly AlarmMember[]>
  /** Raises an alarm, or finds it raised: comes back in either case. */
  alarmActivate(member: AlarmMember): Promise<readonly AlarmMember[]>
  /** What was disarmed; nothing if that member has not raised this alarm. */
  alarmDeactivate(member: AlarmMember): Promise<readonly AlarmMember[]>
  status(): Promise<StoreStatus>
  /** Of everything up to a revision, 0 for all. @throws CompactedError, FutureRevisionError */
  hashKv(revision: Revision): Promise<KvHash>
  /** Gives space of compacted rows back to the file system. */
  defragment(): Promise<void>
}
