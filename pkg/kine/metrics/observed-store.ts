import type {
  Backend,
  LeaseId,
  LeaseRecord,
  Pinned,
  RangeQuery,
  RangeResult,
  Revision,
  TxnRequest,
  TxnResult,
} from '#pkg/kine/backend.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { StoreErrorKind } from '#pkg/kine/errors.ts'
import { ForwardingBackend } from '#pkg/kine/forwarding-backend.ts'
import type { StoreCounters } from '#pkg/kine/metrics/store-counters.ts'

/** What a client did not ask for wrongly: the write was not done for want of something here. */
const FAILURES: ReadonlySet<StoreErrorKind> = new Set(['no-space', 'corrupt', 'overloaded', 'unavailable', 'stopped'])

/** A store that counts what is done with it. */
export class ObservedStore extends ForwardingBackend {
  readonly #counters: StoreCounters

  constructor(store: Backend, counters: StoreCounters) {
    super(store)
    this.#counters = counters
  }

  override range(query: RangeQuery): Promise<Pinned<RangeResult>> {
    this.#counters.ranges += 1
    return super.range(query)
  }

  override async txn(request: TxnRequest): Promise<Pinned<TxnResult>> {
    const pinned = await this.#write(super.txn(request))
    this.#counters.countTxn(request, pinned.value)
    return pinned
  }

  override compact(revision: Revision): Promise<Revision> {
    return this.#write(super.compact(revision))
  }

  override async leaseGrant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord> {
    const lease = await this.#write(super.leaseGrant(id, ttlSeconds))
    this.#counters.leasesGranted += 1
    this.#counters.leaseTtls.observe(lease.ttlSeconds)
    return lease
  }

  override async leaseRevoke(id: LeaseId): Promise<Revision> {
    const { revoking } = this.#counters
    revoking.add(id)
    try {
      return await this.#write(super.leaseRevoke(id))
    } finally {
      revoking.delete(id)
    }
  }

  override async leaseKeepAlive(id: LeaseId): Promise<LeaseRecord | undefined> {
    const lease = await this.#write(super.leaseKeepAlive(id))
    if (lease !== undefined) this.#counters.leasesRenewed += 1
    return lease
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
