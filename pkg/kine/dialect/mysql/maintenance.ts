import { MysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import { integer } from '#pkg/kine/dialect/mysql/row.ts'
import { withLock } from '#pkg/kine/dialect/mysql/schema.ts'
import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'

const QUERY_MS = 7_000
/** Rebuilding a large table takes long. */
const REBUILD_MS = 24 * 3_600_000

/**
 * Bytes that the tables have allocated and use, as InnoDB estimates them. MySQL 8 keeps such figures for a day unless it
 * is told not to; MariaDB does not know that setting.
 */
export async function readSize(
  session: Session,
  mariadb: boolean,
): Promise<{ readonly bytes: number; readonly inUseBytes: number }> {
  if (!mariadb) await session.query('SET SESSION information_schema_stats_expiry = 0', QUERY_MS)
  const sql =
    'SELECT CAST(SUM(DATA_LENGTH + INDEX_LENGTH) AS SIGNED), CAST(SUM(DATA_FREE) AS SIGNED)' +
    ' FROM information_schema.TABLES' +
    " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('k0s_log', 'k0s_lease', 'k0s_meta')"
  const [row] = (await session.query(sql, QUERY_MS)) as readonly Row[]
  const inUseBytes = integer(row?.[0])
  return { bytes: inUseBytes + integer(row?.[1]), inUseBytes }
}

/**
 * Builds the tables anew, which gives free space back to the file system. Reads and commits go on meanwhile, apart from
 * a moment at the beginning and the end.
 *
 * @throws MysqlError if another instance is at it, or the server refuses
 */
export async function rebuildTables(session: Session): Promise<void> {
  await withLock(session, 'defragment', 0, async () => {
    const sql = 'OPTIMIZE NO_WRITE_TO_BINLOG TABLE k0s_log, k0s_lease'
    const rows = (await session.query(sql, REBUILD_MS)) as readonly Row[]
    const failure = rows.find(([, , type]) => String(type).toLowerCase() === 'error')
    if (failure !== undefined) throw new MysqlError(`cannot rebuild the tables: ${String(failure[3])}`, { lost: false })
  })
}
