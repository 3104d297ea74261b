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
import { StoreError } from '#pkg/kine/errors.ts'
import type { StoreErrorKind } from '#pkg/kine/errors.ts'
import type { StoreCounters } from '#pkg/kine/metrics/store-counters.ts'

/** What a client did not ask for wrongly: the write was not done for want of something here. */
const FAILURES: ReadonlySet<StoreErrorKind> = new Set(['no-space', 'corrupt', 'overloaded', 'unavailable', 'stopped'])

/** A store that counts what is done with it. */
export class ObservedStore implements Backend {
  readonly #store: Backend
  readonly #counters: StoreCounters

  constructor(store: Backend, counters: StoreCounters) {
    this.#store = store
    this.#counters = counters
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

  range(query: RangeQuery): Promise<Pinned<RangeResult>> {
    this.#counters.ranges += 1
    return this.#store.range(query)
  }

  async txn(request: TxnRequest): Promise<Pinned<TxnResult>> {
    const pinned = await this.#write(this.#store.txn(request))
    this.#counters.countTxn(request, pinned.value)
    return pinned
  }

  loadKeyValues(versions: readonly KeyVersion[]): Promise<readonly Buffer[]> {
    return this.#store.loadKeyValues(versions)
  }

  compact(revision: Revision): Promise<Revision> {
    return this.#write(this.#store.compact(revision))
  }

  async leaseGrant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord> {
    const lease = await this.#write(this.#store.leaseGrant(id, ttlSeconds))
    this.#counters.leasesGranted += 1
    this.#counters.leaseTtls.observe(lease.ttlSeconds)
    return lease
  }

  async leaseRevoke(id: LeaseId): Promise<Revision> {
    const { revoking } = this.#counters
    revoking.add(id)
    try {
      return await this.#write(this.#store.leaseRevoke(id))
    } finally {
      revoking.delete(id)
    }
  }

  async leaseKeepAlive(id: LeaseId): Promise<LeaseRecord | undefined> {
    const lease = await this.#write(this.#store.leaseKeepAlive(id))
    if (lease !== undefined) this.#counters.leasesRenewed += 1
    return lease
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

  async #write<T>(outcome: Promise<T>): Promise<T> {
    this.#counters.pending += 1
    try {
      const value = await outcome
      this.#counters.committed += 1
      return value
    } catch (error) {
      if (error instanceof StoreError && FAILURES.has(error.kind)) this.#counters.failed += 1
      throw error
    } finally {
      this.#counters.pending -= 1
    }
  }
}
