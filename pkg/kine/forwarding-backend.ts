import type { AlarmMember, AlarmType } from '#pkg/kine/alarm/alarms.ts'
import type {
  Backend,
  KeyVersion,
  KvHash,
  LeaseId,
  LeaseRecord,
  LeaseState,
  Pinned,
  RangeQuery,
  RangeResult,
  Revision,
  StoreStatus,
  TxnRequest,
  TxnResult,
} from '#pkg/kine/backend.ts'

/** A store that asks another one; what stands in front of a store overrides what it adds to. */
export class ForwardingBackend implements Backend {
  readonly #store: Backend

  constructor(store: Backend) {
    this.#store = store
  }

  get clusterId(): number {
    return this.#store.clusterId
  }

  get memberId(): number {
    return this.#store.memberId
  }

  get revision(): Revision {
    return this.#store.revision
  }

  get compactRevision(): Revision {
    return this.#store.compactRevision
  }

  get alarms(): Backend['alarms'] {
    return this.#store.alarms
  }

  range(query: RangeQuery): Promise<Pinned<RangeResult>> {
    return this.#store.range(query)
  }

  loadKeyValues(versions: readonly KeyVersion[]): Promise<readonly Buffer[]> {
    return this.#store.loadKeyValues(versions)
  }

  txn(request: TxnRequest): Promise<Pinned<TxnResult>> {
    return this.#store.txn(request)
  }

  compact(revision: Revision): Promise<Revision> {
    return this.#store.compact(revision)
  }

  leaseGrant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord> {
    return this.#store.leaseGrant(id, ttlSeconds)
  }

  leaseRevoke(id: LeaseId): Promise<Revision> {
    return this.#store.leaseRevoke(id)
  }

  leaseKeepAlive(id: LeaseId): Promise<LeaseRecord | undefined> {
    return this.#store.leaseKeepAlive(id)
  }

  leaseTimeToLive(id: LeaseId): Promise<LeaseState | undefined> {
    return this.#store.leaseTimeToLive(id)
  }

  leases(): Promise<readonly LeaseId[]> {
    return this.#store.leases()
  }

  alarmList(type: AlarmType): Promise<readonly AlarmMember[]> {
    return this.#store.alarmList(type)
  }

  alarmActivate(member: AlarmMember): Promise<readonly AlarmMember[]> {
    return this.#store.alarmActivate(member)
  }

  alarmDeactivate(member: AlarmMember): Promise<readonly AlarmMember[]> {
    return this.#store.alarmDeactivate(member)
  }

  status(): Promise<StoreStatus> {
    return this.#store.status()
  }

  hashKv(revision: Revision): Promise<KvHash> {
    return this.#store.hashKv(revision)
  }

  defragment(): Promise<void> {
    return this.#store.defragment()
  }
}
