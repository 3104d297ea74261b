import { ROWS_PER_REVISION } from '#pkg/kine/backend.ts'
import type { Key, KeyVersion, Revision, RowId } from '#pkg/kine/backend.ts'
import type {
  Head,
  LeaseChange,
  LeaseChanges,
  LogPage,
  LogQuery,
  LogRow,
  UpstreamRow,
} from '#pkg/kine/dialect/dialect.ts'
import type { Statement } from '#pkg/kine/dialect/postgres/connection.ts'
import { UPSTREAM_ROWS } from '#pkg/kine/dialect/postgres/maintenance-statements.ts'
import type { Param } from '#pkg/kine/dialect/postgres/message-writer.ts'
import type { Pool } from '#pkg/kine/dialect/postgres/pool.ts'
import type { Row } from '#pkg/kine/dialect/postgres/row.ts'
import {
  INDEX_AFTER,
  INDEX_FIRST,
  LEASES_AFTER,
  LOG,
  LOG_WITH_PREVIOUS,
  READ_HEAD,
  VALUES,
  VERSIONS,
} from '#pkg/kine/dialect/postgres/statements.ts'
import { readAlarms, readHead, readVersion, versionAt } from '#pkg/kine/dialect/postgres/version.ts'
import { StoreError } from '#pkg/kine/errors.ts'

const READ_TIMEOUT_MS = 15_000
const HEAD_TIMEOUT_MS = 1_400
const INDEX_PAGE_ROWS = 5_000
/** A page of the log ends behind the revision that exceeds this. */
const PAGE_BYTES = 1024 * 1024
const UPSTREAM_PAGE_ROWS = 2_000
/** More rows than one revision can have. */
const WHOLE_REVISION_ROWS = 1_000_000
const NOTHING = Buffer.alloc(0)

/** Everything that reads. */
export class Reader {
  readonly #pool: Pool

  constructor(pool: Pool) {
    this.#pool = pool
  }

  async head(): Promise<Head> {
    const head = await this.#pool.read((connection) =>
      connection.first(READ_HEAD, [], { timeoutMs: HEAD_TIMEOUT_MS, read: readHead }),
    )
    if (head === undefined) throw new StoreError('unavailable', { cause: new Error('the head is missing') })
    return head
  }

  async index(after: Key | undefined): Promise<readonly KeyVersion[]> {
    const page: KeyVersion[] = []
    const params = after === undefined ? [INDEX_PAGE_ROWS] : [INDEX_PAGE_ROWS, after]
    await this.#query(after === undefined ? INDEX_FIRST : INDEX_AFTER, params, (row) => page.push(readVersion(row)))
    return page
  }

  async values(ids: readonly RowId[]): Promise<ReadonlyMap<RowId, Buffer>> {
    const values = new Map<RowId, Buffer>()
    await this.#query(VALUES, [{ int8s: ids }], (row) => values.set(row.number(), row.bytes()))
    return values
  }

  async versions(keys: readonly Key[], revision: Revision): Promise<readonly (KeyVersion | undefined)[]> {
    const found: (KeyVersion | undefined)[] = keys.map(() => undefined)
    let pruning = -1
    await this.#query(VERSIONS, [{ byteas: keys }, revision], (row) => {
      if (row.null()) pruning = row.number()
      else found[row.number() - 1] = readVersion(row)
    })
    if (pruning > revision) throw new StoreError('compacted')
    return found
  }

  async log(query: LogQuery): Promise<LogPage> {
    const page = await this.#logPage(query, query.maxRows)
    const { looked, lastLooked, first, last } = page
    // Of the last revision looked at there may be more rows.
    const cut = looked > query.maxRows
    if (!cut && last === lastLooked) return { rows: page.rows, through: query.to }
    if (!cut || last < lastLooked) return { rows: page.rows, through: last }
    if (first < last) return { rows: page.rows.filter(({ now }) => now.modRevision < last), through: last - 1 }
    const whole = await this.#logPage({ ...query, from: last, to: last }, WHOLE_REVISION_ROWS)
    return { rows: whole.rows, through: last }
  }

  async leasesAfter(seq: number): Promise<LeaseChanges> {
    const changes: LeaseChange[] = []
    let head: Omit<LeaseChanges, 'changes'> = { seq, reset: false, alarms: [] }
    await this.#query(LEASES_AFTER, [seq], (row) => {
      if (row.null()) head = { seq: row.number(), reset: row.number() === 1, alarms: readAlarms(row) }
      else changes.push(readLeaseChange(row))
    })
    return { changes, ...head }
  }

  async upstream(after: number): Promise<readonly UpstreamRow[]> {
    const rows: UpstreamRow[] = []
    await this.#query(UPSTREAM_ROWS, [after, UPSTREAM_PAGE_ROWS, PAGE_BYTES], (row) => {
      rows.push({
        id: row.number(),
        created: row.number() !== 0,
        deleted: row.number() !== 0,
        createRevision: row.number(),
        previousRevision: row.number(),
        lease: row.number(),
        name: row.ownBytes(),
        value: row.bytes(),
      })
    })
    return rows
  }

  async #logPage({ range, from, to, withPrevious }: LogQuery, maxRows: number): Promise<ReadLog> {
    const { start, end } = range
    const page = { rows: [] as LogRow[], looked: -1, lastLooked: 0, first: 0, last: 0 }
    // An empty end means none in the statement as in etcd.
    const bounds = [start, end ?? Buffer.concat([start, Buffer.from([0])])]
    const params = [from * ROWS_PER_REVISION, from, to, maxRows + 1, PAGE_BYTES, ...bounds]
    let pruning = -1
    await this.#query(withPrevious ? LOG_WITH_PREVIOUS : LOG, params, (row) => {
      if (page.looked < 0) {
        pruning = row.number()
        page.looked = row.number()
        page.lastLooked = row.number()
        page.first = row.number()
        page.last = row.number()
      } else page.rows.push(readLogRow(row))
    })
    if (pruning > from) throw new StoreError('compacted')
    return page
  }

  async #query(statement: Statement, params: readonly Param[], onRow: (row: Row) => void): Promise<void> {
    await this.#pool.read((connection) => connection.query(statement, params, { timeoutMs: READ_TIMEOUT_MS, onRow }))
  }
}

interface ReadLog {
  readonly rows: readonly LogRow[]
  readonly looked: number
  readonly lastLooked: Revision
  readonly first: Revision
  readonly last: Revision
}

function readLogRow(row: Row): LogRow {
  const now = readVersion(row)
  const value = row.bytes()
  const before = row.null() ? undefined : versionAt(row.number(), row)
  // What was there before is nothing if the key had been deleted.
  if (before === undefined || before.version === 0) return { now, value, previous: undefined, previousValue: undefined }
  return { now, value, previous: before, previousValue: row.null() ? NOTHING : row.bytes() }
}

/** A time to live of 0 marks a revoked one. */
function readLeaseChange(row: Row): LeaseChange {
  const id = row.lease()
  const ttlSeconds = row.number()
  return { id, record: ttlSeconds === 0 ? undefined : { id, ttlSeconds, remainingMs: row.number() } }
}
