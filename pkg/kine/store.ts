import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { AlarmMember, Alarms } from '#pkg/kine/alarm/alarms.ts'
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
import type { Dialect, StoredState } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { openImported } from '#pkg/kine/import/import.ts'
import { load, loadShared } from '#pkg/kine/load.ts'
import { patiently } from '#pkg/kine/patience.ts'
import type { StoreDeps, StoreOptions } from '#pkg/kine/store-options.ts'
import { wireStore } from '#pkg/kine/store-parts.ts'
import type { StoreParts } from '#pkg/kine/store-parts.ts'
import type { WatchHub } from '#pkg/kine/watch/hub.ts'

/** The etcd data model over one dialect: answers requests from index, ring and log, and writes through the one writer. */
export class Store implements Backend {
  readonly #dialect: Dialect
  readonly #state: Pick<StoredState, 'clusterId' | 'memberId'>
  readonly #parts: StoreParts

  /**
   * Opens the database and loads the index. Waits for a shared database that is away, until `signal` aborts.
   *
   * @throws KineError, StoreError
   */
  static async open(options: StoreOptions, deps: StoreDeps): Promise<Store> {
    const { dialect } = deps
    const { shared } = dialect
    const state = await patiently(deps, () => openImported(deps))
    try {
      const loaded = await patiently(deps, () =>
        shared === undefined ? load(dialect, state, options.ringBytes) : loadShared(dialect, shared, options.ringBytes),
      )
      return new Store(dialect, state, wireStore(options, deps, state, loaded))
    } catch (error) {
      await dialect.close()
      throw error
    }
  }

  private constructor(dialect: Dialect, { clusterId, memberId }: StoredState, parts: StoreParts) {
    this.#dialect = dialect
    this.#state = { clusterId, memberId }
    this.#parts = parts
  }

  get hub(): WatchHub {
    return this.#parts.hub
  }

  get alarms(): Alarms {
    return this.#parts.alarms
  }

  get clusterId(): number {
    return this.#state.clusterId
  }

  get memberId(): number {
    return this.#state.memberId
  }

  get revision(): Revision {
    return this.#parts.applier.revision
  }

  get compactRevision(): Revision {
    return this.#parts.applier.compactRevision
  }

  /** Live keys. */
  get keys(): number {
    return this.#parts.index.size
  }

  /** Bytes of the ring. */
  get ringBytes(): number {
    return this.#parts.ring.bytes
  }

  range(query: RangeQuery): Promise<Pinned<RangeResult>> {
    return this.#parts.reads.range(query)
  }

  loadKeyValues(versions: readonly KeyVersion[]): Promise<readonly Buffer[]> {
    return this.#parts.keyValues.load(versions)
  }

  async txn(request: TxnRequest): Promise<Pinned<TxnResult>> {
    return await this.#parts.reads.complete(await this.#parts.writer.txn(request))
  }

  compact(revision: Revision): Promise<Revision> {
    return this.#parts.writer.change((batch) => {
      if (revision <= batch.compactRevision) throw new StoreError('compacted')
      if (revision > batch.revision) throw new StoreError('future-revision')
      batch.compactRevision = revision
      return batch.revision
    })
  }

  leaseGrant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord> {
    return this.#parts.leases.grant(id, ttlSeconds)
  }

  leaseRevoke(id: LeaseId): Promise<Revision> {
    return this.#parts.leases.revoke(id)
  }

  leaseKeepAlive(id: LeaseId): Promise<LeaseRecord | undefined> {
    return this.#parts.leases.keepAlive(id)
  }

  async leaseTimeToLive(id: LeaseId): Promise<LeaseState | undefined> {
    await this.#linearize()
    return this.#parts.lessor.state(id)
  }

  async leases(): Promise<readonly LeaseId[]> {
    await this.#linearize()
    return this.#parts.lessor.ids()
  }

  async alarmList(type: AlarmType): Promise<readonly AlarmMember[]> {
    await this.#linearize()
    return this.alarms.list(type)
  }

  async alarmActivate(member: AlarmMember): Promise<readonly AlarmMember[]> {
    if (member.alarm === AlarmType.none) return []
    await this.#parts.writer.change((batch) => batch.raise(member))
    return [member]
  }

  alarmDeactivate(member: AlarmMember): Promise<readonly AlarmMember[]> {
    return this.#parts.writer.change((batch) => (batch.disarm(member) ? [member] : []))
  }

  async status(): Promise<StoreStatus> {
    const { bytes, inUseBytes } = await this.#dialect.size()
    const { clusterId, memberId } = this.#state
    const { revision, compactRevision } = this.#parts.applier
    return { clusterId, memberId, revision, compactRevision, sizeBytes: bytes, sizeInUseBytes: inUseBytes }
  }

  hashKv(asked: Revision): Promise<KvHash> {
    return this.#parts.reads.hashKv(asked)
  }

  async defragment(): Promise<void> {
    // Of a shared database what was compacted last stays for a while, longer than clients wait for this call.
    if (this.#dialect.shared === undefined) await this.#parts.compactor.idle()
    await this.#dialect.defragment()
  }

  /** Finishes the writes that were taken, then closes the database. */
  async close(): Promise<void> {
    this.hub.close()
    await this.#parts.expirer.stop()
    await this.#parts.checkpointer?.stop()
    await this.#parts.writer.stop()
    await this.#parts.follower?.stop()
    await this.#parts.compactor.stop()
    await this.#dialect.close()
  }

  /** Makes memory as new as a shared database was at some moment after the call. */
  async #linearize(): Promise<void> {
    await this.#parts.follower?.linearize()
  }
}
