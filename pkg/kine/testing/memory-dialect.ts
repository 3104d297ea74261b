import type { Key, KeyVersion, LeaseId, LeaseRecord, Revision, RowId } from '#pkg/kine/backend.ts'
import type {
  AppendBatch,
  AppendResult,
  Dialect,
  LogPage,
  LogQuery,
  LogRow,
  NewRow,
  PruneResult,
  StoredState,
} from '#pkg/kine/dialect/dialect.ts'
import { inRange } from '#pkg/kine/keys.ts'

/** A log in memory whose commits and reads a test can hold up or let fail. */
export class MemoryDialect implements Dialect {
  readonly shared = undefined
  rows: NewRow[] = []
  readonly leases = new Map<LeaseId, LeaseRecord>()
  /** Batches committed so far. */
  commits = 0
  /** Called before a commit; what it throws or rejects with becomes the outcome. */
  beforeAppend: (() => Promise<void> | void) | undefined
  /** Called before a read of values or of the log. */
  beforeRead: (() => Promise<void> | void) | undefined
  #compactRevision = -1
  #prunedRevision = -1

  open(): Promise<StoredState> {
    const last = this.rows.at(-1)?.now
    return Promise.resolve({
      clusterId: 1,
      memberId: 2,
      revision: last?.modRevision ?? 1,
      lastId: last?.id ?? 0,
      compactRevision: this.#compactRevision,
      prunedRevision: this.#prunedRevision,
      leaseSeq: 0,
      leases: [...this.leases.values()],
    })
  }

  readIndex(after: Key | undefined): Promise<readonly KeyVersion[]> {
    const newest = new Map<string, KeyVersion>()
    for (const { now } of this.rows) newest.set(now.key.toString('latin1'), now)
    const sorted = [...newest.values()].sort((a, b) => a.key.compare(b.key))
    return Promise.resolve(sorted.filter(({ key }) => after === undefined || key.compare(after) > 0).slice(0, 3))
  }

  async append(batch: AppendBatch): Promise<AppendResult> {
    await this.beforeAppend?.()
    this.commits += 1
    this.rows.push(...batch.rows)
    for (const lease of batch.leases) this.leases.set(lease.id, lease)
    for (const id of batch.revokedLeases) this.leases.delete(id)
    this.#compactRevision = batch.next.compactRevision
    return { committed: true, previousValues: this.#values(batch.rows.map(({ previousId }) => previousId)) }
  }

  async readValues(ids: readonly RowId[]): Promise<ReadonlyMap<RowId, Buffer>> {
    await this.beforeRead?.()
    return this.#values(ids)
  }

  readVersions(keys: readonly Key[], revision: Revision): Promise<readonly (KeyVersion | undefined)[]> {
    const at = (key: Key): KeyVersion | undefined =>
      this.rows.findLast(({ now }) => now.modRevision <= revision && now.key.equals(key))?.now
    return Promise.resolve(keys.map(at))
  }

  async readLog({ range, from, to, maxRows }: LogQuery): Promise<LogPage> {
    await this.beforeRead?.()
    const rows: LogRow[] = []
    let seen = 0
    let through = to
    for (const [i, { now, value }] of this.rows.entries()) {
      if (now.modRevision < from || now.modRevision > to) continue
      if (seen >= maxRows && now.modRevision !== this.rows[i - 1]?.now.modRevision) {
        through = now.modRevision - 1
        break
      }
      seen += 1
      if (!inRange(now.key, range)) continue
      const before = this.rows.slice(0, i).findLast((row) => row.now.key.equals(now.key))
      const previous = before?.now.version === 0 ? undefined : before
      rows.push({ now, value, previous: previous?.now, previousValue: previous?.value })
    }
    return { rows, through }
  }

  prune(through: Revision): Promise<PruneResult> {
    const before = this.rows.length
    this.rows = this.rows.filter(({ now }, i) => {
      const superseded = this.rows.some(
        (other, j) => j > i && other.now.modRevision <= through && other.now.key.equals(now.key),
      )
      return !superseded && !(now.version === 0 && now.modRevision < through)
    })
    this.#prunedRevision = through
    return Promise.resolve({ deleted: before - this.rows.length, done: true })
  }

  size(): Promise<{ readonly bytes: number; readonly inUseBytes: number }> {
    return Promise.resolve({ bytes: 0, inUseBytes: 0 })
  }

  defragment(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #values(ids: readonly RowId[]): ReadonlyMap<RowId, Buffer> {
    const wanted = new Set(ids)
    return new Map(this.rows.filter(({ now }) => wanted.has(now.id)).map(({ now, value }) => [now.id, value]))
  }
}
