import { randomInt } from 'node:crypto'
import { Applier } from '#pkg/kine/apply.ts'
import type {
  Backend,
  Key,
  KeyVersion,
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
import type { Dialect, StoredState } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { KeyIndex } from '#pkg/kine/index/key-index.ts'
import { LeaseExpirer } from '#pkg/kine/lease/expirer.ts'
import { Lessor, MAX_LEASE_TTL_SECONDS, MIN_LEASE_TTL_SECONDS } from '#pkg/kine/lease/lessor.ts'
import { KeyValues } from '#pkg/kine/read/key-values.ts'
import { Pins } from '#pkg/kine/read/pins.ts'
import { rangeAt, rangeNow, sortByValue } from '#pkg/kine/read/range.ts'
import { Ring } from '#pkg/kine/ring/ring.ts'
import { toEvent } from '#pkg/kine/watch/catch-up.ts'
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
}

/** What a store works with. */
export interface StoreDeps {
  readonly dialect: Dialect
  readonly log: Logger
  /** After each commit. */
  readonly onCommit?: (durationMs: number) => void
  /** The store cannot go on and must be opened again. */
  readonly onFailure: (error: unknown) => void
}

/** Newest revisions that a starting store takes into its ring: those that reconnecting watchers ask for. */
const WARM_REVISIONS = 1000
const WARM_ROWS = 500

/** The etcd data model over one dialect: wires index, ring, writer, watches, leases and compaction together. */
export class Store implements Backend {
  readonly hub: WatchHub
  readonly #dialect: Dialect
  readonly #state: StoredState
  readonly #index: KeyIndex
  readonly #ring: Ring
  readonly #lessor: Lessor
  readonly #applier: Applier
  readonly #keyValues: KeyValues
  readonly #pins = new Pins()
  readonly #writer: Writer
  readonly #compactor: Compactor
  readonly #expirer: LeaseExpirer

  /** Opens the database and loads the index. @throws KineError */
  static async open(options: StoreOptions, deps: StoreDeps): Promise<Store> {
    const state = await deps.dialect.open()
    try {
      return new Store(options, deps, await load(options, state, deps.dialect))
    } catch (error) {
      await deps.dialect.close()
      throw error
    }
  }

  private constructor(options: StoreOptions, deps: StoreDeps, loaded: Loaded) {
    const { dialect, log } = deps
    const { state, index, lessor, ring } = loaded
    this.#dialect = dialect
    this.#state = state
    this.#index = index
    this.#ring = ring
    this.#lessor = lessor
    this.#keyValues = new KeyValues({ maxCacheBytes: options.cacheBytes }, { ring, dialect })
    this.#applier = new Applier({ index, ring, lessor, publish: (events) => this.hub.publish(events) }, state)
    this.hub = new WatchHub(options, {
      ring,
      keyValues: this.#keyValues,
      dialect,
      revision: () => this.#applier.revision,
      compactRevision: () => this.#applier.compactRevision,
      log,
    })
    this.#writer = new Writer({
      dialect,
      index,
      lessor,
      applier: this.#applier,
      keyValues: this.#keyValues,
      pins: this.#pins,
      previousWanted: (version) => this.hub.previousWanted(version),
      onCommit: (durationMs) => {
        deps.onCommit?.(durationMs)
      },
      onFailure: deps.onFailure,
    })
    this.#compactor = new Compactor({ dialect, index, pins: this.#pins, log }, state.prunedRevision)
    this.#compactor.wake(state.compactRevision)
    this.#expirer = new LeaseExpirer({ lessor, revoke: (id) => this.leaseRevoke(id), log })
    this.#expirer.wake()
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

  async range(query: RangeQuery): Promise<Pinned<RangeResult>> {
    const { revision, compactRevision } = this.#applier
    if (query.revision > revision) throw new StoreError('future-revision')
    if (query.revision > 0 && query.revision < compactRevision) throw new StoreError('compacted')
    const pin = this.#pins.hold(query.revision > 0 ? query.revision : revision)
    try {
      return pinned(await this.#execute(query, revision), pin)
    } catch (error) {
      pin[Symbol.dispose]()
      throw error
    }
  }

  loadKeyValues(versions: readonly KeyVersion[]): Promise<readonly Buffer[]> {
    return this.#keyValues.load(versions)
  }

  async txn(request: TxnRequest): Promise<Pinned<TxnResult>> {
    const { result, deferred, pin } = await this.#writer.txn(request)
    try {
      for (const { query, into } of deferred) {
        const { revision } = into.result
        if (query.revision > 0 && query.revision < revision) into.result = await this.#execute(query, revision)
        else into.result = await this.#ordered(into.result, query)
      }
      return pinned(result, pin)
    } catch (error) {
      pin[Symbol.dispose]()
      throw error
    }
  }

  async compact(revision: Revision): Promise<Revision> {
    const current = await this.#writer.change((batch) => {
      if (revision <= batch.compactRevision) throw new StoreError('compacted')
      if (revision > batch.revision) throw new StoreError('future-revision')
      batch.compactRevision = revision
      return batch.revision
    })
    this.#compactor.wake(this.#applier.compactRevision)
    return current
  }

  async leaseGrant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord> {
    if (ttlSeconds > MAX_LEASE_TTL_SECONDS) throw new StoreError('lease-ttl-too-large')
    const granted = Math.max(ttlSeconds, MIN_LEASE_TTL_SECONDS)
    const record = await this.#writer.change((batch) => {
      let chosen = id
      while (chosen === 0 || (id === 0 && batch.hasLease(chosen))) chosen = randomInt(1, 2 ** 47)
      if (batch.hasLease(chosen)) throw new StoreError('lease-exists')
      const lease = { id: chosen, ttlSeconds: granted, remainingMs: granted * 1000 }
      batch.leases.set(chosen, lease)
      return lease
    })
    this.#expirer.wake()
    return record
  }

  leaseRevoke(id: LeaseId): Promise<Revision> {
    return this.#writer.change((batch) => {
      if (!batch.hasLease(id)) throw new StoreError('lease-not-found')
      for (const version of batch.keysOfLease(id)) batch.delete(version)
      batch.leases.set(id, undefined)
      return batch.endRevision()
    })
  }

  async leaseKeepAlive(id: LeaseId): Promise<LeaseRecord | undefined> {
    const record = await this.#writer.change((batch) => {
      const lease = batch.lease(id)
      if (lease === undefined) return undefined
      const renewed = { ...lease, remainingMs: lease.ttlSeconds * 1000 }
      batch.leases.set(id, renewed)
      return renewed
    })
    this.#expirer.wake()
    return record
  }

  leaseTimeToLive(id: LeaseId): LeaseState | undefined {
    return this.#lessor.state(id)
  }

  leases(): readonly LeaseId[] {
    return this.#lessor.ids()
  }

  async status(): Promise<StoreStatus> {
    const { bytes, inUseBytes } = await this.#dialect.size()
    const { clusterId, memberId } = this.#state
    const { revision, compactRevision } = this.#applier
    return { clusterId, memberId, revision, compactRevision, sizeBytes: bytes, sizeInUseBytes: inUseBytes }
  }

  async defragment(): Promise<void> {
    await this.#compactor.idle()
    await this.#dialect.defragment()
  }

  /** Finishes the writes that were taken, then closes the database. */
  async close(): Promise<void> {
    this.hub.close()
    await this.#expirer.stop()
    await this.#writer.stop()
    await this.#compactor.stop()
    await this.#dialect.close()
  }

  async #execute(query: RangeQuery, revision: Revision): Promise<RangeResult> {
    const historical = query.revision > 0 && query.revision < this.#applier.revision
    const result = historical
      ? await rangeAt(this.#index.at(query.range, query.revision), query, revision, this.#dialect)
      : rangeNow(this.#index, query, revision)
    return query.sortTarget === 'value' ? this.#ordered(result, query) : result
  }

  async #ordered(result: RangeResult, query: RangeQuery): Promise<RangeResult> {
    return sortByValue(result, query, await this.#keyValues.load(result.versions)).result
  }
}

function pinned<T>(value: T, pin: Disposable): Pinned<T> {
  return { value, [Symbol.dispose]: () => pin[Symbol.dispose]() }
}

interface Loaded {
  readonly state: StoredState
  readonly index: KeyIndex
  readonly lessor: Lessor
  readonly ring: Ring
}

async function load({ ringBytes }: StoreOptions, state: StoredState, dialect: Dialect): Promise<Loaded> {
  const index = new KeyIndex()
  const lessor = new Lessor({ monotonic: () => performance.now() })
  for (const lease of state.leases) lessor.put(lease)
  for (let after: Key | undefined; ;) {
    const page = await dialect.readIndex(after)
    for (const version of page) {
      index.apply(version)
      lessor.moveKey(undefined, version)
    }
    after = page.at(-1)?.key
    if (after === undefined) break
  }
  return { state, index, lessor, ring: await warmRing(ringBytes, state, dialect) }
}

/** The newest revisions of the log, so that watchers which come back after a restart are served from memory. */
async function warmRing(maxBytes: number, state: StoredState, dialect: Dialect): Promise<Ring> {
  const first = Math.max(1, state.compactRevision + 1, state.revision - WARM_REVISIONS)
  const ring = new Ring({ maxBytes }, first)
  const everything = { start: Buffer.alloc(0), end: Buffer.alloc(0) }
  for (let from = first; from <= state.revision;) {
    const { rows, through } = await dialect.readLog({
      range: everything,
      from,
      to: state.revision,
      maxRows: WARM_ROWS,
      withPrevious: true,
    })
    ring.append(rows.map(toEvent))
    from = through + 1
  }
  return ring
}
