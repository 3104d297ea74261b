import { ROWS_PER_REVISION } from '#pkg/kine/backend.ts'
import type { Key, KeyVersion, Revision, RowId } from '#pkg/kine/backend.ts'
import type { LogPage, LogQuery } from '#pkg/kine/dialect/dialect.ts'
import { keyHash } from '#pkg/kine/dialect/mysql/key-hash.ts'
import { idValues, integer, keyVersion, VERSION_COLUMNS } from '#pkg/kine/dialect/mysql/row.ts'
import type { Param, Row, Session } from '#pkg/kine/dialect/mysql/session.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { identity, inRange } from '#pkg/kine/keys.ts'

/** A read that takes longer is given up. */
const READ_MS = 7_000
/** Most parameters of a list in a prepared statement. */
const MAX_LIST = 256
/** A page of the log ends behind the revision that exceeds this. */
const LOG_PAGE_BYTES = 1024 * 1024
/** Beyond every id. */
const MAX_ID = Number.MAX_SAFE_INTEGER

const COLUMNS = VERSION_COLUMNS.map((column) => `l.${column}`).join(',')

/** Revision of the pruning that has begun, as of the same read. */
const PRUNING = '(SELECT pruning_rev FROM k0s_meta WHERE id = 1)'

/** The values of these rows; one that does not exist is missing. @throws MysqlError */
export async function readValues(session: Session, ids: readonly RowId[]): Promise<Map<RowId, Buffer>> {
  const values = new Map<RowId, Buffer>()
  for (const list of lists(ids)) {
    const rows = await session.execute(`SELECT id,value FROM k0s_log WHERE id IN (${marks(list)})`, list, READ_MS)
    for (const [id, value] of idValues(rows)) values.set(id, value)
  }
  return values
}

/** See Dialect.readVersions. @throws MysqlError, StoreError */
export async function readVersions(
  session: Session,
  keys: readonly Key[],
  revision: Revision,
): Promise<readonly (KeyVersion | undefined)[]> {
  // Large transactions run over into the ids of later revisions: there is no bound that the revision alone could tell.
  const sql = 'SELECT id FROM k0s_log WHERE id >= ? AND rev > ? ORDER BY id LIMIT 1'
  const [row] = await session.execute(sql, [(revision + 1) * ROWS_PER_REVISION, revision], READ_MS)
  const before = row === undefined ? MAX_ID : integer(row[0])
  const newest = await newestBefore(session, keys, { before, revision })
  return keys.map((key) => newest.get(identity(key)))
}

/** See Dialect.readLog. @throws MysqlError, StoreError */
export async function readLog(session: Session, query: LogQuery): Promise<LogPage> {
  const { rows, through } = await readPage(session, query)
  const previous = query.withPrevious ? await versionsBefore(session, rows, query) : NO_VERSIONS
  const found = rows.filter(({ key }) => inRange(key, query.range))
  const wanted = [...found, ...found.map(({ id }) => previous.get(id)).filter((version) => version !== undefined)]
  const values = await readValues(session, [...new Set(wanted.map(({ id }) => id))])
  return {
    through,
    rows: found.map((now) => {
      const value = values.get(now.id)
      // It was there a moment ago.
      if (value === undefined) throw new StoreError('compacted')
      const before = previous.get(now.id)
      return { now, value, previous: before, previousValue: before && values.get(before.id) }
    }),
  }
}

interface Page {
  readonly rows: readonly KeyVersion[]
  readonly through: Revision
}

/** Rows of whole revisions, at most `maxRows` unless one revision has more, whose values are not much too large. */
async function readPage(session: Session, query: LogQuery): Promise<Page> {
  const { from, to } = query
  for (let limit = query.maxRows + 1; ; limit *= 2) {
    const rows = await scan(session, from, limit)
    const last = rows.at(-1)
    if (last === undefined || rows.length < limit || last.modRevision > to) {
      return limitBytes({ rows: rows.filter(({ modRevision }) => modRevision <= to), through: to }, query)
    }
    // The last revision may go on behind the limit. If it is the only one, it is one large transaction.
    const whole = rows.filter(({ modRevision }) => modRevision < last.modRevision)
    if (whole.length > 0) return limitBytes({ rows: whole, through: last.modRevision - 1 }, query)
  }
}

/** Where a page ends whose values must not exceed LOG_PAGE_BYTES much. */
function limitBytes({ rows, through }: Page, { range }: LogQuery): Page {
  let size = 0
  let revision = 0
  for (const [i, row] of rows.entries()) {
    if (row.modRevision !== revision && size > LOG_PAGE_BYTES) return { rows: rows.slice(0, i), through: revision }
    revision = row.modRevision
    if (inRange(row.key, range)) size += row.valueSize + row.key.length
  }
  return { rows, through }
}

/** Rows from a revision on in log order. */
async function scan(session: Session, from: Revision, limit: number): Promise<KeyVersion[]> {
  const sql = `SELECT ${PRUNING},${COLUMNS} FROM k0s_log l WHERE l.id >= ? AND l.rev >= ? ORDER BY l.id LIMIT ?`
  const rows = await session.execute(sql, [from * ROWS_PER_REVISION, from, limit], READ_MS)
  return await unlessPruned(session, rows, from)
}

/** Newest version of each key among the rows with lower ids, by the identity of the key. */
async function newestBefore(
  session: Session,
  keys: readonly Key[],
  { before, revision }: { readonly before: RowId; readonly revision: Revision },
): Promise<Map<string, KeyVersion>> {
  const newest = new Map<string, KeyVersion>()
  for (const list of lists(keys.map((key) => keyHash(key)))) {
    const sql =
      `SELECT ${PRUNING},${COLUMNS} FROM (SELECT MAX(id) AS id FROM k0s_log` +
      ` WHERE key_hash IN (${marks(list)}) AND id < ? GROUP BY key_hash) n JOIN k0s_log l ON l.id = n.id`
    const rows = await session.execute(sql, [...list, before], READ_MS)
    for (const version of await unlessPruned(session, rows, revision)) newest.set(identity(version.key), version)
  }
  return newest
}

/** The versions in rows that start with PRUNING, unless rows at `revision` may have been missing in that read. */
async function unlessPruned(session: Session, rows: readonly Row[], revision: Revision): Promise<KeyVersion[]> {
  const [first] = rows.length > 0 ? rows : await session.execute(`SELECT ${PRUNING}`, [], READ_MS)
  if (integer(first?.[0]) > revision) throw new StoreError('compacted')
  return rows.map((row) => keyVersion(row, 1))
}

/**
 * The version that each row replaced, by the id of the row: from the page itself, else from what is before it. A key
 * that one transaction changes twice has for both what was before the transaction.
 */
async function versionsBefore(
  session: Session,
  page: readonly KeyVersion[],
  { range, from }: LogQuery,
): Promise<ReadonlyMap<RowId, KeyVersion>> {
  const first = page[0]
  if (first === undefined) return NO_VERSIONS
  const found = page.filter(({ key }) => inRange(key, range))
  const unknown = found.filter((row) => !isCreation(row)).map(({ key }) => key)
  const newest = await newestBefore(session, unknown, { before: first.id, revision: from })
  const previous = new Map<RowId, KeyVersion>()
  const last = new Map<string, { readonly row: KeyVersion; readonly before: KeyVersion | undefined }>()
  for (const row of found) {
    const name = identity(row.key)
    const earlier = last.get(name)
    const before = earlier?.row.modRevision === row.modRevision ? earlier.before : (earlier?.row ?? newest.get(name))
    if (before !== undefined && before.version > 0 && !isCreation(row)) previous.set(row.id, before)
    last.set(name, { row, before })
  }
  return previous
}

function isCreation({ version, createRevision, modRevision }: KeyVersion): boolean {
  return version > 0 && createRevision === modRevision
}

/** Lists whose length is a power of two, so that few statements are prepared; the last element fills them up. */
function* lists<T extends Param>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += MAX_LIST) {
    const part = all.slice(at, at + MAX_LIST)
    const filler = part.at(-1)
    const length = 2 ** Math.ceil(Math.log2(part.length))
    while (part.length < length && filler !== undefined) part.push(filler)
    yield part
  }
}

function marks(list: readonly unknown[]): string {
  return '?,'.repeat(list.length).slice(0, -1)
}

const NO_VERSIONS: ReadonlyMap<RowId, KeyVersion> = new Map()
