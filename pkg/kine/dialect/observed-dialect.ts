import type { Key, KeyVersion, Revision, RowId } from '#pkg/kine/backend.ts'
import type {
  AppendBatch,
  AppendResult,
  Dialect,
  Head,
  HeadLock,
  LeaseChanges,
  LogPage,
  LogQuery,
  PruneResult,
  SharedLog,
  StoredState,
} from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { DatabaseMetrics, DatabaseOperation } from '#pkg/kine/metrics/database-metrics.ts'
import type { StoreCounters } from '#pkg/kine/metrics/store-counters.ts'
import type { SlowLog } from '#pkg/kine/slow-log.ts'

/** What ObservedDialect reports to. */
export interface DialectObservers {
  readonly metrics: DatabaseMetrics
  readonly counters: StoreCounters
  readonly slow: SlowLog
}

/** Calls that take their time: that of a whole database. */
const LONG: ReadonlySet<DatabaseOperation> = new Set(['open', 'defragment'])

/** A dialect whose calls are timed, counted, and logged when they were slow; never with keys, values or passwords. */
export class ObservedDialect implements Dialect {
  readonly shared: SharedLog | undefined
  readonly readUpstream?: NonNullable<Dialect['readUpstream']>
  readonly #dialect: Dialect
  readonly #observers: DialectObservers

  constructor(dialect: Dialect, observers: DialectObservers) {
    this.#dialect = dialect
    this.#observers = observers
    this.shared = dialect.shared && this.#observeShared(dialect.shared)
    if (dialect.readUpstream !== undefined) {
      this.readUpstream = (after) =>
        this.#timed('read_upstream', () => dialect.readUpstream?.(after) ?? Promise.resolve([]), {})
    }
  }

  open(): Promise<StoredState> {
    return this.#timed('open', () => this.#dialect.open(), {})
  }

  readIndex(after: Key | undefined): Promise<readonly KeyVersion[]> {
    return this.#timed('read_index', () => this.#dialect.readIndex(after), {})
  }

  async append(batch: AppendBatch): Promise<AppendResult> {
    const { metrics, counters } = this.#observers
    const size = { rows: batch.rows.length, leases: batch.leases.length + batch.revokedLeases.length }
    const result = await this.#timed('append', () => this.#dialect.append(batch), size)
    if (!result.committed) metrics.conflicts += 1
    else {
      for (const id of batch.revokedLeases) {
        counters.leasesRevoked += 1
        if (!counters.revoking.has(id)) counters.leasesExpired += 1
      }
    }
    return result
  }

  readValues(ids: readonly RowId[]): Promise<ReadonlyMap<RowId, Buffer>> {
    return this.#timed('read_values', () => this.#dialect.readValues(ids), { rows: ids.length })
  }

  readVersions(
    keys: readonly Key[],
    revision: Revision,
    newerIds: readonly RowId[],
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const size = { keys: keys.length, revision }
    return this.#timed('read_versions', () => this.#dialect.readVersions(keys, revision, newerIds), size)
  }

  readLog(query: LogQuery): Promise<LogPage> {
    const size = { from: query.from, to: query.to, maxRows: query.maxRows }
    return this.#timed('read_log', () => this.#dialect.readLog(query), size)
  }

  async prune(through: Revision): Promise<PruneResult> {
    const { metrics } = this.#observers
    try {
      const result = await this.#timed('prune', () => this.#dialect.prune(through), { revision: through })
      metrics.compactedRows += result.deleted
      if (result.done) {
        metrics.compactions += 1
        metrics.lastCompaction = Math.floor(Date.now() / 1000)
      }
      return result
    } catch (error) {
      metrics.failedCompactions += 1
      throw error
    }
  }

  size(): Promise<{ readonly bytes: number; readonly inUseBytes: number }> {
    return this.#timed('size', () => this.#dialect.size(), {})
  }

  async defragment(): Promise<void> {
    const { metrics } = this.#observers
    const startedAt = performance.now()
    metrics.defragmenting += 1
    try {
      await this.#timed('defragment', () => this.#dialect.defragment(), {})
    } finally {
      metrics.defragmenting -= 1
      metrics.observeDefragmentation(performance.now() - startedAt)
    }
  }

  close(): Promise<void> {
    return this.#dialect.close()
  }

  #observeShared(shared: SharedLog): SharedLog {
    return {
      head: (): Promise<Head> => this.#timed('head', () => shared.head(), {}),
      follow: (onHead) => shared.follow(onHead),
      lock: (): Promise<HeadLock> => this.#timed('lock', () => shared.lock(), {}),
      leasesAfter: (seq): Promise<LeaseChanges> => this.#timed('leases_after', () => shared.leasesAfter(seq), {}),
    }
  }

  async #timed<T>(
    operation: DatabaseOperation,
    call: () => Promise<T>,
    size: Readonly<Record<string, number>>,
  ): Promise<T> {
    const startedAt = performance.now()
    try {
      const result = await call()
      this.#observe(operation, '', startedAt, size)
      return result
    } catch (error) {
      this.#observe(operation, error instanceof StoreError ? error.kind : 'fault', startedAt, size)
      throw error
    }
  }

  #observe(
    operation: DatabaseOperation,
    errorCode: string,
    startedAt: number,
    size: Readonly<Record<string, number>>,
  ): void {
    const { metrics, slow } = this.#observers
    const durationMs = performance.now() - startedAt
    metrics.observe(operation, errorCode, durationMs)
    if (durationMs < slow.thresholdMs || LONG.has(operation)) return
    // That a shared database is away, or confirms nothing, is said once; here it would be said by every call.
    if (errorCode === 'unavailable' && this.shared !== undefined) return
    slow.warn(durationMs, { operation, ...size, ...(errorCode !== '' && { error: errorCode }) })
  }
}
