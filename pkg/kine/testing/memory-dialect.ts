import type { Key, KeyVersion, LeaseRecord, Revision, RowId } from '#pkg/kine/backend.ts'
import type {
  AppendBatch,
  AppendResult,
  Dialect,
  Head,
  HeadLock,
  LeaseChange,
  LeaseChanges,
  LogPage,
  LogQuery,
  LogRow,
  NewRow,
  PruneResult,
  SharedLog,
  StoredState,
} from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { inRange } from '#pkg/kine/keys.ts'
import { MemoryDatabase } from '#pkg/kine/testing/memory-database.ts'

/** A log in memory whose commits and reads a test can hold up or let fail. */
export class MemoryDialect implements Dialect {
  readonly shared: SharedLog | undefined
  readonly database: MemoryDatabase
  /** Called before a commit; what it throws or rejects with becomes the outcome. */
  beforeAppend: (() => Promise<void> | void) | undefined
  /** Called after a commit, before it is confirmed: what it throws is an acknowledgement that got lost. */
  afterAppend: (() => Promise<void> | void) | undefined
  /** Called before a read of values, of the log or of the head. */
  beforeRead: (() => Promise<void> | void) | undefined
  #away = false
  #closed = false
  #onHead: ((revision: Revision | undefined) => void) | undefined
  #locked: { readonly release: () => void } | undefined

  /** With a database of several: opens that one beside the others. */
  constructor(database?: MemoryDatabase) {
    this.database = database ?? new MemoryDatabase()
    this.shared = database && {
      head: () => this.#head(),
      follow: (onHead) => this.#follow(onHead),
      lock: () => this.#lock(),
      leasesAfter: (seq) => this.#leasesAfter(seq),
    }
  }

  /** The connection to the database is gone: everything is refused, nothing is heard. */
  get away(): boolean {
    return this.#away
  }

  set away(away: boolean) {
    this.#away = away
    if (!away) this.#onHead?.(undefined)
  }

  get rows(): NewRow[] {
    return this.database.rows
  }

  get commits(): number {
    return this.database.commits
  }

  async open(): Promise<StoredState> {
    this.#closed = false
    await this.#call()
    const { head, prunedRevision, leasesPrunedSeq, alarms } = this.database
    const { changes } = await this.#leasesAfter(leasesPrunedSeq - 1)
    const leases = changes.map(({ record }) => record).filter((record) => record !== undefined)
    return { ...head, clusterId: 1, memberId: 2, prunedRevision, leases, alarms }
  }

  async readIndex(after: Key | undefined): Promise<readonly KeyVersion[]> {
    await this.#call(this.beforeRead)
    const newest = new Map<string, KeyVersion>()
    for (const { now } of this.rows) newest.set(now.key.toString('latin1'), now)
    const sorted = [...newest.values()].sort((a, b) => a.key.compare(b.key))
    return sorted.filter(({ key }) => after === undefined || key.compare(after) > 0).slice(0, 3)
  }

  async append(batch: AppendBatch): Promise<AppendResult> {
    const { release } = this.#locked ?? { release: await this.database.lock() }
    this.#locked = undefined
    try {
      await this.#call(this.beforeAppend)
      if (!this.database.commit(batch)) return { committed: false }
    } finally {
      release()
    }
    await this.#call(this.afterAppend)
    return { committed: true, previousValues: this.#values(batch.rows.map(({ previousId }) => previousId)) }
  }

  async readValues(ids: readonly RowId[]): Promise<ReadonlyMap<RowId, Buffer>> {
    await this.#call(this.beforeRead)
    return this.#values(ids)
  }

  async readVersions(keys: readonly Key[], revision: Revision): Promise<readonly (KeyVersion | undefined)[]> {
    await this.#call(this.beforeRead)
    this.#assertUnpruned(revision)
    const at = (key: Key): KeyVersion | undefined =>
      this.rows.findLast(({ now }) => now.modRevision <= revision && now.key.equals(key))?.now
    return keys.map(at)
  }

  async readLog({ range, from, to, maxRows, withPrevious }: LogQuery): Promise<LogPage> {
    await this.#call(this.beforeRead)
    this.#assertUnpruned(from)
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
      if (inRange(now.key, range)) rows.push({ now, value, ...(withPrevious ? this.#before(now) : NOTHING_BEFORE) })
    }
    return { rows, through }
  }

  async prune(through: Revision): Promise<PruneResult> {
    await this.#call()
    const { database } = this
    database.pruningRevision = Math.max(database.pruningRevision, through)
    const before = this.rows.length
    database.rows = this.rows.filter(({ now }, i) => {
      const superseded = this.rows.some(
        (other, j) => j > i && other.now.modRevision <= through && other.now.key.equals(now.key),
      )
      return !superseded && !(now.version === 0 && now.modRevision < through)
    })
    database.prunedRevision = through
    return { deleted: before - this.rows.length, done: true }
  }

  size(): Promise<{ readonly bytes: number; readonly inUseBytes: number }> {
    return Promise.resolve({ bytes: 0, inUseBytes: 0 })
  }

  defragment(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.#closed = true
    this.#locked?.release()
    return Promise.resolve()
  }

  async #head(): Promise<Head> {
    // The answer is on its way while the caller waits: it may be old when it arrives.
    const { head } = this.database
    await this.#call(this.beforeRead)
    return head
  }

  #follow(onHead: (revision: Revision | undefined) => void): AsyncDisposable {
    const { followers } = this.database
    this.#onHead = onHead
    const follower = (head: Head, before: Head): void => {
      if (this.#away) return
      setImmediate(() => onHead(head.revision > before.revision ? head.revision : undefined))
    }
    followers.add(follower)
    return {
      [Symbol.asyncDispose]: () => {
        followers.delete(follower)
        this.#onHead = undefined
        return Promise.resolve()
      },
    }
  }

  async #lock(): Promise<HeadLock> {
    await this.#call()
    const locked = { release: await this.database.lock() }
    this.#locked = locked
    return {
      head: this.database.head,
      [Symbol.asyncDispose]: () => {
        if (this.#locked === locked) {
          this.#locked = undefined
          locked.release()
        }
        return Promise.resolve()
      },
    }
  }

  async #leasesAfter(after: number): Promise<LeaseChanges> {
    await this.#call(this.beforeRead)
    const { leases, alarms, head, leasesPrunedSeq } = this.database
    const reset = after < leasesPrunedSeq
    const changes: LeaseChange[] = []
    for (const [id, { seq, revoked, ttlSeconds, remainingMs }] of leases) {
      if (reset ? revoked : seq <= after) continue
      const record: LeaseRecord = { id, ttlSeconds, remainingMs }
      changes.push({ id, record: revoked ? undefined : record })
    }
    return { changes, alarms, seq: head.leaseSeq, reset }
  }

  async #call(hook?: () => Promise<void> | void): Promise<void> {
    if (this.#away || this.#closed) throw new StoreError('unavailable')
    await hook?.()
  }

  #assertUnpruned(revision: Revision): void {
    if (this.shared !== undefined && revision < this.database.pruningRevision) throw new StoreError('compacted')
  }

  #before(now: KeyVersion): Pick<LogRow, 'previous' | 'previousValue'> {
    const before = this.rows.findLast((row) => row.now.modRevision < now.modRevision && row.now.key.equals(now.key))
    const created = now.version > 0 && now.createRevision === now.modRevision
    const previous = created || before?.now.version === 0 ? undefined : before
    return { previous: previous?.now, previousValue: previous?.value }
  }

  #values(ids: readonly RowId[]): ReadonlyMap<RowId, Buffer> {
    const wanted = new Set(ids)
    return new Map(this.rows.filter(({ now }) => wanted.has(now.id)).map(({ now, value }) => [now.id, value]))
  }
}

const NOTHING_BEFORE = { previous: undefined, previousValue: undefined }
