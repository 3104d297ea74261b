import { ROWS_PER_REVISION } from '#pkg/kine/backend.ts'
import type { Revision, RowId } from '#pkg/kine/backend.ts'
import type { PruneResult } from '#pkg/kine/dialect/dialect.ts'
import { NOW_MS } from '#pkg/kine/dialect/mysql/append-sql.ts'
import type { Connector } from '#pkg/kine/dialect/mysql/connector.ts'
import { bytes, integer } from '#pkg/kine/dialect/mysql/row.ts'
import { releaseLock, takeLock } from '#pkg/kine/dialect/mysql/schema.ts'
import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'

const QUERY_MS = 10_000
/** Rows looked at by one slice. */
const SLICE_ROWS = 200
/** Rows deleted by one statement: some tens of milliseconds, in which no commit waits. */
const DELETE_ROWS = 500
/** Age at which tombstones of leases go: whoever follows has seen them long since. */
const TOMBSTONE_MS = 600_000

/** A compaction on its way. */
interface Run {
  readonly through: Revision
  readonly session: Session
  /** Rows up to this one are done. */
  cursor: RowId
}

/**
 * Deletes what compactions leave behind, in one instance at a time. The session that holds the lock for it lives as
 * long as one compaction; what was begun and not finished is looked through again.
 */
export class Pruner {
  readonly #connector: Pick<Connector, 'connect'>
  #run: Run | undefined

  constructor(connector: Pick<Connector, 'connect'>) {
    this.#connector = connector
  }

  /** See Dialect.prune. @throws MysqlError */
  async prune(through: Revision): Promise<PruneResult> {
    if (this.#run?.through !== through || !this.#run.session.alive) {
      await this.close()
      this.#run = await this.#begin(through)
    }
    if (this.#run === undefined) return { deleted: 0, done: false, elsewhere: true }
    const result = await slice(this.#run)
    if (result.done) {
      await finish(this.#run)
      await this.close()
    }
    return result
  }

  async close(): Promise<void> {
    const run = this.#run
    this.#run = undefined
    if (run === undefined) return
    await releaseLock(run.session, LOCK)
    await run.session.close()
  }

  async #begin(through: Revision): Promise<Run | undefined> {
    const session = await this.#connector.connect()
    try {
      if (await takeLock(session, LOCK, 0)) return await begin(session, through)
      await session.close()
      return undefined
    } catch (error) {
      await session.close()
      throw error
    }
  }
}

const LOCK = 'prune'

/** Records that rows may go from now on, and finds where the last compaction ended. */
async function begin(session: Session, through: Revision): Promise<Run> {
  await session.query(`UPDATE k0s_meta SET pruning_rev = GREATEST(pruning_rev, ${through}) WHERE id = 1`, QUERY_MS)
  const [row] = (await session.query('SELECT pruned_rev FROM k0s_meta WHERE id = 1', QUERY_MS)) as readonly Row[]
  return { through, session, cursor: integer(row?.[0]) * ROWS_PER_REVISION - 1 }
}

/** Walks over rows that the compaction covers, dropping what each replaced, and tombstones that it has passed. */
async function slice(run: Run): Promise<PruneResult> {
  const { session, through, cursor } = run
  const rows = await session.execute(
    `SELECT id,key_hash,version,rev FROM k0s_log WHERE id > ? ORDER BY id LIMIT ${SLICE_ROWS}`,
    [cursor],
    QUERY_MS,
  )
  const covered = rows.filter((row) => integer(row[3]) <= through)
  const newest = new Map(covered.map(([id, hash]) => [bytes(hash).toString('hex'), integer(id)]))
  const { ids, complete } = await superseded(session, newest)
  // A tombstone at the compact revision itself stays: a watch may still start there.
  const tombstones = covered.filter(([, , version, rev]) => version === 0 && integer(rev) < through).map(([id]) => id)
  const doomed = complete ? [...ids, ...tombstones.map(integer)] : ids
  for (let at = 0; at < doomed.length; at += DELETE_ROWS) {
    const list = doomed.slice(at, at + DELETE_ROWS).join(',')
    await session.query(`DELETE FROM k0s_log WHERE id IN (${list})`, QUERY_MS)
  }
  if (complete) run.cursor = integer(covered.at(-1)?.[0] ?? cursor)
  return { deleted: new Set(doomed).size, done: complete && covered.length < SLICE_ROWS }
}

/** Rows older than the given one of the same key; of a key with a long history only some at a time. */
async function superseded(
  session: Session,
  newest: ReadonlyMap<string, RowId>,
): Promise<{ readonly ids: RowId[]; readonly complete: boolean }> {
  if (newest.size === 0) return { ids: [], complete: true }
  const each = [...newest].map(([hash, id]) => `(key_hash = x'${hash}' AND id < ${id})`).join(' OR ')
  const sql = `SELECT id FROM k0s_log FORCE INDEX (log_key) WHERE ${each} LIMIT ${DELETE_ROWS}`
  const rows = (await session.query(sql, QUERY_MS)) as readonly Row[]
  return { ids: rows.map(([id]) => integer(id)), complete: rows.length < DELETE_ROWS }
}

/** Records that the compaction is complete, and forgets leases that were revoked long ago. */
async function finish({ session, through }: Run): Promise<void> {
  await session.query(`UPDATE k0s_meta SET pruned_rev = GREATEST(pruned_rev, ${through}) WHERE id = 1`, QUERY_MS)
  const old = `SELECT MAX(seq) FROM k0s_lease WHERE revoked = 1 AND expires_at_ms < ${NOW_MS} - ${TOMBSTONE_MS}`
  const [row] = (await session.query(old, QUERY_MS)) as readonly Row[]
  if (row === undefined || row[0] === null) return
  const seq = integer(row[0])
  // In this order and as one: a follower that is told nothing of it must find every tombstone.
  await session.query(
    `BEGIN;UPDATE k0s_meta SET lease_pruned_seq = GREATEST(lease_pruned_seq, ${seq}) WHERE id = 1;` +
      `DELETE FROM k0s_lease WHERE revoked = 1 AND seq <= ${seq};COMMIT`,
    QUERY_MS,
  )
}
