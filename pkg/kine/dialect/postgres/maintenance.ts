import { ROWS_PER_REVISION } from '#pkg/kine/backend.ts'
import type { Revision, RowId } from '#pkg/kine/backend.ts'
import type { PruneResult } from '#pkg/kine/dialect/dialect.ts'
import type { Statement } from '#pkg/kine/dialect/postgres/connection.ts'
import {
  PRUNE_BEGIN,
  PRUNE_END,
  PRUNE_SLICE,
  PRUNE_STATE,
  SIZE,
} from '#pkg/kine/dialect/postgres/maintenance-statements.ts'
import type { Param } from '#pkg/kine/dialect/postgres/message-writer.ts'
import type { Pool } from '#pkg/kine/dialect/postgres/pool.ts'
import type { Row } from '#pkg/kine/dialect/postgres/row.ts'

/** Rows looked at by one slice of pruning: some milliseconds, so that commits get in between. */
const PRUNE_ROWS = 500
/** Followers that were away for longer load all leases again. */
const REVOKED_LEASES_MS = 10 * 60_000
const STATEMENT_TIMEOUT_MS = 30_000
const VACUUM_TIMEOUT_MS = 60 * 60_000

interface Cursor {
  readonly through: Revision
  readonly pruned: Revision
  id: RowId
}

/** What keeps the database small. */
export class Maintenance {
  readonly #pool: Pool
  readonly #lock: () => number
  #cursor: Cursor | undefined

  /** `lock`: number of the advisory lock under which one instance prunes. */
  constructor(pool: Pool, lock: () => number) {
    this.#pool = pool
    this.#lock = lock
  }

  /** See Dialect.prune. */
  async prune(through: Revision): Promise<PruneResult> {
    if (this.#cursor?.through !== through) this.#cursor = await this.#begin(through)
    const cursor = this.#cursor
    if (cursor.pruned >= through) return { deleted: 0, done: true }
    const slice = { free: false, deleted: 0, lastId: cursor.id, looked: 0, due: 0 }
    await this.#query(PRUNE_SLICE, [this.#lock(), cursor.id, PRUNE_ROWS, through], (row) => {
      slice.free = row.boolean()
      slice.deleted = row.number()
      if (!row.null()) slice.lastId = row.number()
      slice.looked = row.number()
      slice.due = row.number()
    })
    if (!slice.free) {
      this.#cursor = undefined
      return { deleted: 0, done: false, elsewhere: true }
    }
    cursor.id = slice.lastId
    const done = slice.looked < PRUNE_ROWS || slice.due < slice.looked
    if (done) {
      await this.#query(PRUNE_END, [through, REVOKED_LEASES_MS])
      this.#cursor = undefined
    }
    return { deleted: slice.deleted, done }
  }

  async size(): Promise<{ readonly bytes: number; readonly inUseBytes: number }> {
    const size = { bytes: 0, inUseBytes: 0 }
    await this.#query(SIZE, [], (row) => {
      size.bytes = row.number()
      size.inUseBytes = row.number()
    })
    return size
  }

  /** Makes the room of deleted rows usable again; only what is free at the end of a file goes back to the system. */
  async defragment(): Promise<void> {
    await this.#pool.read((connection) =>
      connection.script('VACUUM k0s_log, k0s_lease, k0s_meta', { timeoutMs: VACUUM_TIMEOUT_MS }),
    )
  }

  async #begin(through: Revision): Promise<Cursor> {
    let pruned = -1
    let pruning = -1
    await this.#query(PRUNE_STATE, [], (row) => {
      pruning = row.number()
      pruned = row.number()
    })
    if (pruning < through) await this.#query(PRUNE_BEGIN, [through])
    return { through, pruned, id: Math.max(pruned, 0) * ROWS_PER_REVISION - 1 }
  }

  async #query(statement: Statement, params: readonly Param[], onRow: (row: Row) => void = ignoreRow): Promise<void> {
    await this.#pool.read((connection) =>
      connection.query(statement, params, { timeoutMs: STATEMENT_TIMEOUT_MS, onRow }),
    )
  }
}

function ignoreRow(): void {
  // What is asked for is the effect.
}
