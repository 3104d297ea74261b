import type { Key, KeyVersion, LeaseRecord } from '#pkg/kine/backend.ts'
import type { StoredState } from '#pkg/kine/dialect/dialect.ts'
import { NOW_MS } from '#pkg/kine/dialect/mysql/append-sql.ts'
import { HEAD_COLUMNS, headOf } from '#pkg/kine/dialect/mysql/head.ts'
import { integer, keyVersion, leaseId, VERSION_COLUMNS } from '#pkg/kine/dialect/mysql/row.ts'
import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'
import { identity } from '#pkg/kine/keys.ts'

const QUERY_MS = 30_000
/** Rows of the log a query of the scan. */
const SCAN_ROWS = 5_000
/** Versions a page of the index. */
const PAGE_ROWS = 5_000

/**
 * What the database holds at one moment: a transaction that reads, so that nothing is seen of what others commit or
 * prune meanwhile. It has a session of its own, which ends with it.
 */
export class Snapshot {
  readonly #session: Session
  #index: readonly KeyVersion[] | undefined
  #at = 0

  /** Takes over the session. @throws MysqlError */
  static async begin(session: Session): Promise<Snapshot> {
    const snapshot = new Snapshot(session)
    try {
      await session.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', QUERY_MS)
      await session.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY', QUERY_MS)
      return snapshot
    } catch (error) {
      await session.close()
      throw error
    }
  }

  private constructor(session: Session) {
    this.#session = session
  }

  /** @throws MysqlError */
  async state(): Promise<StoredState> {
    const columns = `${HEAD_COLUMNS},cluster_id,member_id,pruned_rev`
    const rows = (await this.#session.query(`SELECT ${columns} FROM k0s_meta WHERE id = 1`, QUERY_MS)) as readonly Row[]
    const leases = await this.#session.query(`SELECT ${LEASE_COLUMNS} FROM k0s_lease WHERE revoked = 0`, QUERY_MS)
    return {
      ...headOf(rows),
      clusterId: integer(rows[0]?.[4]),
      memberId: integer(rows[0]?.[5]),
      prunedRevision: integer(rows[0]?.[6]),
      leases: (leases as readonly Row[]).map((row) => leaseRecord(row)),
    }
  }

  /** See Dialect.readIndex; it ends with the page that is empty. @throws MysqlError */
  async indexPage(after: Key | undefined): Promise<readonly KeyVersion[]> {
    this.#index ??= await this.#scan()
    const next = this.#index[this.#at]
    if (after !== undefined && next !== undefined && next.key.compare(after) <= 0) {
      this.#at = this.#index.findIndex(({ key }) => key.compare(after) > 0)
      if (this.#at < 0) this.#at = this.#index.length
    }
    const page = this.#index.slice(this.#at, this.#at + PAGE_ROWS)
    this.#at += page.length
    if (page.length === 0) await this.end()
    return page
  }

  /** False once it has ended, or the server has ended it. */
  get alive(): boolean {
    return this.#session.alive
  }

  async end(): Promise<void> {
    await this.#session.close()
  }

  /** The index by key hash would lead to the newest versions only, but one by one; the log is read in its order. */
  async #scan(): Promise<readonly KeyVersion[]> {
    const newest = new Map<string, KeyVersion>()
    const sql = `SELECT ${VERSION_COLUMNS.join(',')} FROM k0s_log WHERE id > ? ORDER BY id LIMIT ${SCAN_ROWS}`
    for (let last = -1, more = true; more;) {
      const rows = await this.#session.execute(sql, [last], QUERY_MS)
      for (const row of rows) {
        const version = keyVersion(row)
        newest.set(identity(version.key), version)
        last = version.id
      }
      more = rows.length === SCAN_ROWS
    }
    return [...newest.values()].sort((a, b) => a.key.compare(b.key))
  }
}

/** Columns that `leaseRecord` reads, in its order. */
export const LEASE_COLUMNS = `id, ttl_s, expires_at_ms - ${NOW_MS}`

/** The lease in a row that has LEASE_COLUMNS at `at`. */
export function leaseRecord(row: Row, at = 0): LeaseRecord {
  return { id: leaseId(row[at]), ttlSeconds: integer(row[at + 1]), remainingMs: integer(row[at + 2]) }
}
