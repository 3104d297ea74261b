import type { Statement } from 'better-sqlite3'
import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import { inRange } from '#pkg/kine/keys.ts'
import { PacketReader, PacketWriter, release } from '#pkg/kine/dialect/sqlite/packet.ts'
import type { StoredVersion } from '#pkg/kine/dialect/sqlite/packet.ts'
import { leaseIdColumn } from '#pkg/kine/dialect/sqlite/schema.ts'

/** Rows a page of the start-up scan. */
const INDEX_PAGE_ROWS = 2000
/** A page of the log ends behind the revision that exceeds this. */
const LOG_PAGE_BYTES = 1024 * 1024

const VERSION_COLUMNS = `id, rev AS modRevision, key, create_rev AS createRevision, version, ${leaseIdColumn('lease')} AS lease, length(value) AS valueSize`

/** Everything that reads, on a connection of its own. Synchronous: lives in the reader thread. */
export class ReaderConnection {
  readonly #value: Statement<[number], Buffer>
  readonly #newest: Statement<[Buffer, number], StoredVersion>
  readonly #before: Statement<[Buffer, number], StoredVersion>
  readonly #log: Statement<[number, number, number, number], StoredVersion>
  readonly #indexFirst: Statement<[number], StoredVersion>
  readonly #indexAfter: Statement<[Buffer, number], StoredVersion>

  constructor(db: Connection) {
    this.#value = db.values<[number], Buffer>('SELECT value FROM log WHERE id = ?')
    this.#newest = db.rows(
      `SELECT ${VERSION_COLUMNS} FROM log WHERE key = ? AND rev <= ? ORDER BY rev DESC, id DESC LIMIT 1`,
    )
    this.#before = db.rows(
      `SELECT ${VERSION_COLUMNS} FROM log WHERE key = ? AND rev < ? ORDER BY rev DESC, id DESC LIMIT 1`,
    )
    this.#log = db.rows(
      `SELECT ${VERSION_COLUMNS} FROM log WHERE id >= ? AND rev >= ? AND rev <= ? ORDER BY id LIMIT ?`,
    )
    // With one max() SQLite takes the other columns from the row of the maximum; ids rise with revisions.
    const newestOfEach = VERSION_COLUMNS.replace('id,', 'max(id) AS id,')
    this.#indexFirst = db.rows(`SELECT ${newestOfEach} FROM log GROUP BY key ORDER BY key LIMIT ?`)
    this.#indexAfter = db.rows(`SELECT ${newestOfEach} FROM log WHERE key > ? GROUP BY key ORDER BY key LIMIT ?`)
  }

  readIndex(after: Uint8Array | undefined): ArrayBuffer {
    const rows =
      after === undefined
        ? this.#indexFirst.all(INDEX_PAGE_ROWS)
        : this.#indexAfter.all(Buffer.from(after), INDEX_PAGE_ROWS)
    const reply = new PacketWriter(64 * 1024)
    for (const row of rows) reply.version(row)
    return reply.finish()
  }

  /** Request: ids. Reply: (id, value) of those that exist. */
  readValues(request: ArrayBuffer): ArrayBuffer {
    const ids = new PacketReader(request)
    const reply = new PacketWriter()
    while (!ids.atEnd) {
      const id = ids.number()
      const value = this.#value.get(id)
      if (value === undefined) continue
      reply.number(id)
      reply.bytes(value)
      release(value)
    }
    return reply.finish()
  }

  /** Request: revision, keys. Reply: for each key 1 and its version, or 0. */
  readVersions(request: ArrayBuffer): ArrayBuffer {
    const packet = new PacketReader(request)
    const revision = packet.number()
    const reply = new PacketWriter()
    while (!packet.atEnd) {
      const version = this.#newest.get(packet.present(), revision)
      reply.number(version === undefined ? 0 : 1)
      if (version !== undefined) reply.version(version)
    }
    return reply.finish()
  }

  /** Request: from, to, maxRows, first possible id, whether with previous versions, start, end. Reply: through, then row, value and what was before it. */
  readLog(request: ArrayBuffer): ArrayBuffer {
    const packet = new PacketReader(request)
    const from = packet.number()
    const to = packet.number()
    const maxRows = packet.number()
    const firstId = packet.number()
    const withPrevious = packet.number() === 1
    const start = packet.present()
    const end = packet.bytes()
    const page = this.#logPage({ from, to, maxRows, firstId })
    let { through } = page
    let revision = 0
    const body = new PacketWriter(64 * 1024)
    for (const row of page.rows) {
      if (row.modRevision !== revision && body.length > LOG_PAGE_BYTES) {
        through = revision
        break
      }
      revision = row.modRevision
      if (inRange(row.key, { start, end })) this.#logRow(row, body, withPrevious)
    }
    const reply = new PacketWriter()
    reply.number(through)
    reply.bytes(new Uint8Array(body.finish()))
    return reply.finish()
  }

  /** Rows of whole revisions, at most `maxRows` unless one revision has more. */
  #logPage({ from, to, maxRows, firstId }: PageRequest): { readonly rows: StoredVersion[]; readonly through: number } {
    const rows = this.#log.all(firstId, from, to, maxRows + 1)
    if (rows.length <= maxRows) return { rows, through: to }
    const cut = rows.at(-1)?.modRevision ?? to
    const whole = rows.filter(({ modRevision }) => modRevision < cut)
    if (whole.length > 0) return { rows: whole, through: cut - 1 }
    return { rows: this.#log.all(firstId, cut, cut, -1), through: cut }
  }

  #logRow(row: StoredVersion, body: PacketWriter, withPrevious: boolean): void {
    body.version(row)
    this.#addValue(row.id, body)
    const created = row.version > 0 && row.createRevision === row.modRevision
    const before = created || !withPrevious ? undefined : this.#before.get(row.key, row.modRevision)
    const previous = before?.version === 0 ? undefined : before
    body.number(previous === undefined ? 0 : 1)
    if (previous === undefined) return
    body.version(previous)
    this.#addValue(previous.id, body)
  }

  #addValue(id: number, body: PacketWriter): void {
    const value = this.#value.get(id)
    body.bytes(value)
    if (value !== undefined) release(value)
  }
}

interface PageRequest {
  readonly from: number
  readonly to: number
  readonly maxRows: number
  /** No row of the page has a lower id. */
  readonly firstId: number
}
