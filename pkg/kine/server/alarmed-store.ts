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
  TxnOp,
  TxnRequest,
  TxnResult,
} from '#pkg/kine/backend.ts'
import type { Alarms } from '#pkg/kine/server/alarms.ts'

/** A store that refuses what the alarms forbid, before it looks at anything else, as etcd does. */
export class AlarmedStore implements Backend {
  readonly #store: Backend
  readonly #alarms: Alarms

  constructor(store: Backend, alarms: Alarms) {
    this.#store = store
    this.#alarms = alarms
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

  async txn(request: TxnRequest): Promise<Pinned<TxnResult>> {
    if (mayDo(request, isPut)) this.#alarms.assertGrowable()
    else if (mayDo(request, isChange)) this.#alarms.assertChangeable()
    return this.#store.txn(request)
  }

  async compact(revision: Revision): Promise<Revision> {
    this.#alarms.assertChangeable()
    return this.#store.compact(revision)
  }

  async leaseGrant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord> {
    this.#alarms.assertGrowable()
    return this.#store.leaseGrant(id, ttlSeconds)
  }

  async leaseRevoke(id: LeaseId): Promise<Revision> {
    this.#alarms.assertChangeable()
    return this.#store.leaseRevoke(id)
  }

  range(query: RangeQuery): Promise<Pinned<RangeResult>> {
    return this.#store.range(query)
  }

  loadKeyValues(versions: readonly KeyVersion[]): Promise<readonly Buffer[]> {
    return this.#store.loadKeyValues(versions)
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

const isPut = ({ type }: TxnOp): boolean => type === 'put'
const isChange = ({ type }: TxnOp): boolean => type === 'delete'

/** In whichever branch, however deep. */
function mayDo({ success, failure }: TxnRequest, what: (op: TxnOp) => boolean): boolean {
  return [...success, ...failure].some((op) => what(op) || (op.type === 'txn' && mayDo(op.request, what)))
}
