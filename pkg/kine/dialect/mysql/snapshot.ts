import type { KeyVersion, LeaseRecord } from '#pkg/kine/backend.ts'
import type { StoredState } from '#pkg/kine/dialect/dialect.ts'
import { readAlarms } from '#pkg/kine/dialect/mysql/alarms.ts'
import { HEAD_COLUMNS, headOf } from '#pkg/kine/dialect/mysql/head.ts'
import { integer, keyVersion, leaseId, VERSION_COLUMNS } from '#pkg/kine/dialect/mysql/row.ts'
import { ALARM_VERSION, REST_VERSION } from '#pkg/kine/dialect/mysql/schema.ts'
import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'

const QUERY_MS = 30_000
/** Versions of a page. */
const PAGE_ROWS = 2_000
const COLUMNS = VERSION_COLUMNS.map((column) => `l.${column}`).join(',')

/**
 * What the database holds at one moment: a transaction that reads, so that nothing is seen of what others commit or
 * prune meanwhile. It has a session of its own, which ends with it.
 */
export class Snapshot {
  readonly #session: Session
  #last = -1

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
    const columns = `${HEAD_COLUMNS},cluster_id,member_id,pruned_rev,schema_version`
    const rows = (await this.#session.query(`SELECT ${columns} FROM k0s_meta WHERE id = 1`, QUERY_MS)) as readonly Row[]
    const version = integer(rows[0]?.[7])
    const leaseColumns = version < REST_VERSION ? OLD_LEASE_COLUMNS : LEASE_COLUMNS
    const leases = await this.#session.query(`SELECT ${leaseColumns} FROM k0s_lease l WHERE l.revoked = 0`, QUERY_MS)
    const alarms = version < ALARM_VERSION ? [] : await readAlarms(this.#session)
    return {
      ...headOf(rows),
      clusterId: integer(rows[0]?.[4]),
      memberId: integer(rows[0]?.[5]),
      prunedRevision: integer(rows[0]?.[6]),
      leases: (leases as readonly Row[]).map((row) => leaseRecord(row)),
      alarms,
    }
  }

  /** See Dialect.readIndex; it ends with the page that is empty. @throws MysqlError */
  async nextPage(): Promise<readonly KeyVersion[]> {
    // In the order of the table: by key hash, each row would be somewhere else.
    const newest = 'SELECT n.id FROM k0s_log n WHERE n.key_hash = l.key_hash ORDER BY n.id DESC LIMIT 1'
    const sql = `SELECT ${COLUMNS} FROM k0s_log l WHERE l.id > ? AND l.id = (${newest}) ORDER BY l.id LIMIT ${PAGE_ROWS}`
    const page = (await this.#session.execute(sql, [this.#last], QUERY_MS)).map((row) => keyVersion(row))
    this.#last = page.at(-1)?.id ?? this.#last
    if (page.length === 0) await this.end()
    return page
  }

  async end(): Promise<void> {
    await this.#session.close()
  }
}

/** Columns that `leaseRecord` reads, in its order. What a program changed that did not keep the rest has its whole time. */
export const LEASE_COLUMNS = 'l.id,l.ttl_s,IF(l.rest_seq=l.seq,l.rest_ms,l.ttl_s*1000)'
const OLD_LEASE_COLUMNS = 'l.id,l.ttl_s,l.ttl_s*1000'

/** The lease in a row that has LEASE_COLUMNS at `at`. */
export function leaseRecord(row: Row, at = 0): LeaseRecord {
  return { id: leaseId(row[at]), ttlSeconds: integer(row[at + 1]), remainingMs: integer(row[at + 2]) }
}
