import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { AlarmMember, Alarms } from '#pkg/kine/alarm/alarms.ts'
import { Applier } from '#pkg/kine/apply.ts'
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
import { Compactor } from '#pkg/kine/compact/compactor.ts'
import type { Dialect, SharedLog, StoredState } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { openImported } from '#pkg/kine/import/import.ts'
import { Follower } from '#pkg/kine/follow/follower.ts'
import { Serial } from '#pkg/kine/follow/serial.ts'
import { Tail } from '#pkg/kine/follow/tail.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import { LeaseExpirer } from '#pkg/kine/lease/expirer.ts'
import { Leases } from '#pkg/kine/lease/leases.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import { load, loadShared } from '#pkg/kine/load.ts'
import type { Loaded } from '#pkg/kine/load.ts'
import { patiently } from '#pkg/kine/patience.ts'
import { KeyValues } from '#pkg/kine/read/key-values.ts'
import { Pins } from '#pkg/kine/read/pins.ts'
import { Reads } from '#pkg/kine/read/reads.ts'
import type { Ring } from '#pkg/kine/ring/ring.ts'
import { WatchHub } from '#pkg/kine/watch/hub.ts'
import { Writer } from '#pkg/kine/writer/writer.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Sizes and intervals of a store. */
export interface StoreOptions {
  /** Recent changes kept in memory, bytes. */
  readonly ringBytes: number
  /** Single values kept in memory, bytes. */
  readonly cacheBytes: number
  /** Interval of progress notifications, milliseconds. */
  readonly progressIntervalMs: number
  /**
   * How long rows stay after a compaction of a shared database, milliseconds: other instances may still be reading them.
   * Default 10 s.
   */
  readonly compactionGraceMs?: number
}

/** What a store works with. */
export interface StoreDeps {
  readonly dialect: Dialect
  readonly log: Logger
  /** After each commit. */
  readonly onCommit?: (durationMs: number) => void
  /** The store cannot go on and must be opened again; never of a shared database. */
  readonly onFailure: (error: unknown) => void
  /** Ends the waiting for a database at the start. */
  readonly signal?: AbortSignal
}

/** Default of `compactionGraceMs`. */
const SHARED_GRACE_MS = 10_000
/** Every instance expires leases; whoever happens to be late by less than this finds it done. */
const SHARED_SPREAD_MS = 300

/** The etcd data model over one dialect: wires index, ring, writer, watches, leases and compaction together. */
export class Store implements Backend {
  readonly hub: WatchHub
  readonly alarms: Alarms
  readonly #options: StoreOptions
  readonly #dialect: Dialect
  readonly #state: StoredState
  readonly #index: KeyIndex
  readonly #ring: Ring
  readonly #lessor: Lessor
  readonly #applier: Applier
  readonly #keyValues: KeyValues
  readonly #reads: Reads
  readonly #writer: Writer
  readonly #leases: Leases
  readonly #follower: Follower | undefined
  readonly #compactor: Compactor
  readonly #expirer: LeaseExpirer

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
      return new Store(options, deps, state, loaded)
    } catch (error) {
      await dialect.close()
      throw error
    }
  }

  private constructor(options: StoreOptions, deps: StoreDeps, state: StoredState, loaded: Loaded) {
    const { dialect, log } = deps
    const { index, lessor, alarms, ring } = loaded
    const { shared } = dialect
    this.#options = options
    this.#dialect = dialect
    this.#state = state
    this.#index = index
    this.#ring = ring
    this.#lessor = lessor
    this.alarms = alarms
    this.#keyValues = new KeyValues({ maxCacheBytes: options.cacheBytes }, { ring, dialect })
    this.#applier = new Applier(
      {
        index,
        ring,
        lessor,
        alarms,
        publish: (events) => this.hub.publish(events),
        onLeases: () => this.#expirer.wake(),
        onCompaction: (revision) => this.#compactor.wake(revision),
      },
      loaded.head,
    )
    this.hub = new WatchHub(options, {
      ring,
      keyValues: this.#keyValues,
      dialect,
      revision: () => this.#applier.revision,
      compactRevision: () => this.#applier.compactRevision,
      log,
    })
    const serial = new Serial()
    const previousWanted = (version: KeyVersion): boolean => this.hub.previousWanted(version)
    const pins = new Pins()
    const common = { dialect, index, lessor, applier: this.#applier, keyValues: this.#keyValues, previousWanted }
    this.#follower = shared && this.#follow(shared, serial, new Tail({ ...common, shared }), log)
    this.#writer = new Writer({
      ...common,
      alarms,
      pins,
      serial,
      follower: this.#follower,
      onCommit: (durationMs) => {
        deps.onCommit?.(durationMs)
      },
      onFailure: deps.onFailure,
    })
    const linearize = (): Promise<void> => this.#linearize()
    this.#reads = new Reads({ ...common, pins, linearize })
    this.#leases = new Leases({ writer: this.#writer, lessor })
    const compaction = {
      pruned: state.prunedRevision,
      graceMs: shared === undefined ? 0 : (options.compactionGraceMs ?? SHARED_GRACE_MS),
    }
    this.#compactor = new Compactor(compaction, { dialect, index, pins, log })
    this.#expirer = new LeaseExpirer(
      { spreadMs: shared === undefined ? 0 : SHARED_SPREAD_MS },
      { lessor, revoke: (id) => this.#leases.expire(id), log },
    )
    this.#compactor.wake(loaded.head.compactRevision)
    this.#expirer.wake()
    this.#follower?.start()
  }

  get clusterId(): number {
    return this.#state.clusterId
  }

  get memberId(): number {
    return this.#state.memberId
  }

  get revision(): Revision {
    return this.#applier.revision
  }

  get compactRevision(): Revision {
    return this.#applier.compactRevision
  }

  /** Live keys. */
  get keys(): number {
    return this.#index.size
  }

  /** Bytes of the ring. */
  get ringBytes(): number {
    return this.#ring.bytes
  }

  range(query: RangeQuery): Promise<Pinned<RangeResult>> {
    return this.#reads.range(query)
  }

  loadKeyValues(versions: readonly KeyVersion[]): Promise<readonly Buffer[]> {
    return this.#keyValues.load(versions)
  }

  async txn(request: TxnRequest): Promise<Pinned<TxnResult>> {
    return await this.#reads.complete(await this.#writer.txn(request))
  }

  compact(revision: Revision): Promise<Revision> {
    return this.#writer.change((batch) => {
      if (revision <= batch.compactRevision) throw new StoreError('compacted')
      if (revision > batch.revision) throw new StoreError('future-revision')
      batch.compactRevision = revision
      return batch.revision
    })
  }

  leaseGrant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord> {
    return this.#leases.grant(id, ttlSeconds)
  }

  leaseRevoke(id: LeaseId): Promise<Revision> {
    return this.#leases.revoke(id)
  }

  leaseKeepAlive(id: LeaseId): Promise<LeaseRecord | undefined> {
    return this.#leases.keepAlive(id)
  }

  async leaseTimeToLive(id: LeaseId): Promise<LeaseState | undefined> {
    await this.#linearize()
    return this.#lessor.state(id)
  }

  async leases(): Promise<readonly LeaseId[]> {
    await this.#linearize()
    return this.#lessor.ids()
  }

  async alarmList(type: AlarmType): Promise<readonly AlarmMember[]> {
    await this.#linearize()
    return this.alarms.list(type)
  }

  async alarmActivate(member: AlarmMember): Promise<readonly AlarmMember[]> {
    if (member.alarm === AlarmType.none) return []
    await this.#writer.change((batch) => batch.raise(member))
    return [member]
  }

  alarmDeactivate(member: AlarmMember): Promise<readonly AlarmMember[]> {
    return this.#writer.change((batch) => (batch.disarm(member) ? [member] : []))
  }

  async status(): Promise<StoreStatus> {
    const { bytes, inUseBytes } = await this.#dialect.size()
    const { clusterId, memberId } = this.#state
    const { revision, compactRevision } = this.#applier
    return { clusterId, memberId, revision, compactRevision, sizeBytes: bytes, sizeInUseBytes: inUseBytes }
  }

  hashKv(asked: Revision): Promise<KvHash> {
    return this.#reads.hashKv(asked)
  }

  async defragment(): Promise<void> {
    // Of a shared database what was compacted last stays for a while, longer than clients wait for this call.
    if (this.#dialect.shared === undefined) await this.#compactor.idle()
    await this.#dialect.defragment()
  }

  /** Finishes the writes that were taken, then closes the database. */
  async close(): Promise<void> {
    this.hub.close()
    await this.#expirer.stop()
    await this.#writer.stop()
    await this.#follower?.stop()
    await this.#compactor.stop()
    await this.#dialect.close()
  }

  /** Makes memory as new as a shared database was at some moment after the call. */
  async #linearize(): Promise<void> {
    await this.#follower?.linearize()
  }

  #follow(shared: SharedLog, serial: Serial, tail: Tail, log: Logger): Follower {
    return new Follower({
      shared,
      applier: this.#applier,
      serial,
      tail,
      reload: (sameHistory) => this.#reload(shared, sameHistory),
      onReturn: (awayMs) => {
        this.#lessor.prolong(awayMs)
        this.#expirer.wake()
      },
      log,
    })
  }

  /** Puts what the database holds in the place of what is in memory, in one turn of the event loop. */
  async #reload(shared: SharedLog, sameHistory: boolean): Promise<void> {
    const loaded = await loadShared(this.#dialect, shared, this.#options.ringBytes)
    const { head: before } = this.#applier
    this.#index.adopt(loaded.index)
    this.#lessor.adopt(loaded.lessor)
    this.alarms.replace(loaded.alarms.list())
    this.#ring.adopt(loaded.ring)
    this.#keyValues.clear()
    this.#applier.reset(loaded.head)
    if (sameHistory) this.hub.skipped(before.revision + 1)
    else {
      this.hub.endAll()
      this.#compactor.restart(loaded.head.compactRevision)
    }
    this.#compactor.wake(loaded.head.compactRevision)
    this.#expirer.wake()
  }
}
