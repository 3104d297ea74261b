import type { UpstreamRow } from '#pkg/kine/dialect/dialect.ts'
import { bytes, integer } from '#pkg/kine/dialect/mysql/row.ts'
import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'
import { ownCopy } from '#pkg/kine/keys.ts'

const READ_MS = 30_000
const PAGE_ROWS = 1_000
/** Values of a page; at least one row is in each. */
const PAGE_BYTES = 4 * 1024 * 1024

/** Whether the database holds the table of an upstream kine. @throws MysqlError */
export async function hasUpstreamTable(session: Session): Promise<boolean> {
  const sql = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'kine'"
  return (await session.query(sql, READ_MS)).length > 0
}

/** See Dialect.readUpstream. @throws MysqlError */
export async function readUpstream(session: Session, after: number): Promise<readonly UpstreamRow[]> {
  const sizes = `SELECT id, COALESCE(LENGTH(value), 0) FROM kine WHERE id > ? ORDER BY id LIMIT ${PAGE_ROWS}`
  const rows = await session.execute(sizes, [after], READ_MS)
  let size = 0
  const page = rows.filter(([, length], i) => (size += integer(length)) <= PAGE_BYTES || i === 0)
  const last = page.at(-1)
  if (last === undefined) return []
  // Together with a signed zero an unsigned column would come as a decimal, in text.
  const numbers = ['created', 'deleted', 'create_revision', 'prev_revision', 'lease']
  const signed = numbers.map((name) => `CAST(COALESCE(${name}, 0) AS SIGNED)`).join(', ')
  const columns = `id, CAST(name AS BINARY), ${signed}, COALESCE(value, '')`
  const select = `SELECT ${columns} FROM kine WHERE id > ? AND id <= ? ORDER BY id`
  return (await session.execute(select, [after, integer(last[0])], READ_MS)).map(upstreamRow)
}

function upstreamRow(row: Row): UpstreamRow {
  return {
    id: integer(row[0]),
    name: ownCopy(bytes(row[1])),
    created: row[2] !== 0,
    deleted: row[3] !== 0,
    createRevision: integer(row[4]),
    previousRevision: integer(row[5]),
    lease: integer(row[6]),
    value: bytes(row[7]),
  }
}
