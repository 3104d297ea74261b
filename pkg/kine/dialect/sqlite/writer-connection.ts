import type { Statement } from 'better-sqlite3'
import { ROWS_PER_REVISION } from '#pkg/kine/backend.ts'
import { bootClockMs } from '#pkg/kine/dialect/sqlite/boot-clock.ts'
import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import { UNKNOWN_ROW } from '#pkg/kine/dialect/dialect.ts'
import type { PruneResult, StoredState } from '#pkg/kine/dialect/dialect.ts'
import { countFromThisBoot } from '#pkg/kine/dialect/sqlite/lease-table.ts'
import { PacketReader, PacketWriter, release } from '#pkg/kine/dialect/sqlite/packet.ts'
import { CHECKPOINT_BYTES, getMeta, link, migrate, setMeta } from '#pkg/kine/dialect/sqlite/schema.ts'
import { readState } from '#pkg/kine/dialect/sqlite/state.ts'

/** Pages that a commit dirties besides its values, estimated. */
const PAGES_PER_COMMIT = 4
/** Quiet time after which the WAL is folded into the database. */
const IDLE_CHECKPOINT_MS = 10_000
/** Rows looked at by one slice of pruning: some milliseconds, so that commits get in between. */
const PRUNE_ROWS = 200
/** Free pages are given back in portions once they are this many and a quarter of the file. */
const VACUUM_PAGES = 512

/** Everything that writes, on the one connection that does. Synchronous: lives in the writer thread. */
export class WriterConnection {
  readonly #db: Connection
  readonly #insert: Statement
  readonly #value: Statement<[number], Buffer>
  readonly #putLease: Statement
  readonly #dropLease: Statement
  readonly #raiseAlarm: Statement
  readonly #disarmAlarm: Statement
  readonly #dropRow: Statement
  readonly #pageSize: number
  #walBytes = 0
  #pruneCursor: { through: number; id: number } | undefined
  #idleTimer: NodeJS.Timeout | undefined

  constructor(db: Connection) {
    this.#db = db
    migrate(db)
    countFromThisBoot(db)
    this.#pageSize = db.figure('page_size')
    this.#insert = db.rows(
      'INSERT INTO log (id, rev, prev_id, key, create_rev, version, lease, value) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    )
    this.#value = db.values<[number], Buffer>('SELECT value FROM log WHERE id = ?')
    this.#putLease = db.rows(
      'INSERT INTO lease (id, ttl_s, expires_at_ms) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET ttl_s = excluded.ttl_s, expires_at_ms = excluded.expires_at_ms',
    )
    this.#dropLease = db.rows('DELETE FROM lease WHERE id = ?')
    this.#raiseAlarm = db.rows('INSERT OR IGNORE INTO alarm (member_id, type) VALUES (?, ?)')
    this.#disarmAlarm = db.rows('DELETE FROM alarm WHERE member_id = ? AND type = ?')
    this.#dropRow = db.rows('DELETE FROM log WHERE id = ?')
  }

  state(): StoredState {
    if (getMeta(this.#db, 'unlinked') === 1) {
      this.#db.transaction(() => {
        link(this.#db)
        setMeta(this.#db, 'unlinked', 0)
      })
    }
    return readState(this.#db)
  }

  /** Commits one batch and returns the previous values it asked for as (id, value) pairs. */
  append(packet: ArrayBuffer): ArrayBuffer {
    const reply = new PacketWriter()
    const reader = new PacketReader(packet)
    this.#walBytes += packet.byteLength + PAGES_PER_COMMIT * this.#pageSize
    try {
      this.#db.transaction(() => this.#write(reader, reply))
    } finally {
      reader.release()
    }
    return reply.finish()
  }

  /** Between two calls: keeps the WAL short without delaying an acknowledgement. The file keeps its length, see schema.ts. */
  afterCall(): void {
    if (this.#walBytes === 0) return
    if (this.#walBytes > CHECKPOINT_BYTES) this.#checkpoint('PASSIVE')
    if (this.#idleTimer === undefined) {
      this.#idleTimer = setTimeout(() => {
        this.#idleTimer = undefined
        this.#checkpoint('PASSIVE')
      }, IDLE_CHECKPOINT_MS)
    } else this.#idleTimer.refresh()
  }

  /** See Dialect.prune: walks the rows between the last pruned revision and `through`, dropping what they replaced. */
  prune(through: number): PruneResult {
    const pruned = getMeta(this.#db, 'pruned_rev')
    if (this.#pruneCursor?.through !== through) this.#pruneCursor = { through, id: 0 }
    const cursor = this.#pruneCursor
    const rows = this.#db
      .rows<[number, number, number], PruneRow>(
        'SELECT id, rev, prev_id AS replacedId, version FROM log WHERE id > ? AND rev >= ? AND rev <= ? ORDER BY id LIMIT ' +
          String(PRUNE_ROWS),
      )
      .all(Math.max(cursor.id, pruned * ROWS_PER_REVISION - 1), pruned, through)
    // Losing a deletion on power failure is harmless: it is done again.
    this.#db.exec('PRAGMA synchronous = NORMAL')
    try {
      const deleted = this.#db.transaction(() => this.#dropSuperseded(rows, through))
      const last = rows.at(-1)
      if (last !== undefined) cursor.id = last.id
      const done = rows.length < PRUNE_ROWS
      if (done) this.#pruneCursor = undefined
      this.#walBytes += rows.length * this.#pageSize
      return { deleted, done }
    } finally {
      this.#db.exec('PRAGMA synchronous = FULL')
    }
  }

  size(): { bytes: number; inUseBytes: number } {
    const pages = this.#db.figure('page_count')
    const free = this.#db.figure('freelist_count')
    return { bytes: pages * this.#pageSize, inUseBytes: (pages - free) * this.#pageSize }
  }

  defragment(): void {
    this.#db.exec('PRAGMA incremental_vacuum')
    this.#checkpoint('TRUNCATE')
  }

  close(): void {
    clearTimeout(this.#idleTimer)
    if (this.#walBytes > 0) this.#checkpoint('TRUNCATE')
    this.#db.close()
  }

  #write(packet: PacketReader, reply: PacketWriter): void {
    let unlinked = false
    for (let rows = packet.number(); rows > 0; rows -= 1) {
      const { id, modRevision, createRevision, version, lease, key } = packet.versionView()
      const replacedId = packet.number()
      if (replacedId === UNKNOWN_ROW) unlinked = true
      const previousId = packet.number()
      if (previousId > 0) {
        reply.number(previousId)
        const value = this.#value.get(previousId)
        reply.bytes(value)
        if (value !== undefined) release(value)
      }
      this.#insert.run(id, modRevision, Math.max(0, replacedId), key, createRevision, version, lease, packet.present())
    }
    if (unlinked) setMeta(this.#db, 'unlinked', 1)
    const now = bootClockMs()
    for (let leases = packet.number(); leases > 0; leases -= 1) {
      this.#putLease.run(packet.leaseId(), packet.number(), packet.number() + now)
    }
    for (let leases = packet.number(); leases > 0; leases -= 1) this.#dropLease.run(packet.leaseId())
    for (const statement of [this.#raiseAlarm, this.#disarmAlarm]) {
      for (let alarms = packet.number(); alarms > 0; alarms -= 1) statement.run(packet.leaseId(), packet.number())
    }
    const compactRevision = packet.number()
    if (compactRevision >= -1) setMeta(this.#db, 'compact_rev', compactRevision)
  }

  #dropSuperseded(rows: readonly PruneRow[], through: number): number {
    let deleted = 0
    for (const { id, rev, replacedId, version } of rows) {
      if (replacedId > 0) deleted += this.#dropRow.run(replacedId).changes
      // A tombstone at the compact revision itself stays: a watch may still start there.
      if (version === 0 && rev < through) deleted += this.#dropRow.run(id).changes
    }
    if (rows.length < PRUNE_ROWS) {
      setMeta(this.#db, 'pruned_rev', through)
      this.#shrink()
    }
    return deleted
  }

  #shrink(): void {
    const pages = this.#db.figure('page_count')
    const free = this.#db.figure('freelist_count')
    if (free > VACUUM_PAGES && free * 4 > pages) this.#db.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`)
  }

  #checkpoint(mode: 'PASSIVE' | 'TRUNCATE'): void {
    // A checkpoint that fails (disk full, reader in the way) loses nothing; the next one tries again.
    try {
      this.#db.exec(`PRAGMA wal_checkpoint(${mode})`)
      this.#walBytes = 0
    } catch (error) {
      if (!(error instanceof Error)) throw error
      this.#walBytes = CHECKPOINT_BYTES / 2
    }
  }
}

interface PruneRow {
  readonly id: number
  readonly rev: number
  readonly replacedId: number
  readonly version: number
}
