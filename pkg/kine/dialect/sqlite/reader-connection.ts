import type { Statement } from 'better-sqlite3'
import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import { inRange } from '#pkg/kine/keys.ts'
import { PacketReader, PacketWriter, release } from '#pkg/kine/dialect/sqlite/packet.ts'
import type { StoredVersion } from '#pkg/kine/dialect/sqlite/packet.ts'
import { IndexScan } from '#pkg/kine/dialect/sqlite/index-scan.ts'
import { VERSION_COLUMNS } from '#pkg/kine/dialect/sqlite/schema.ts'

/** A page of the log ends behind the revision that exceeds this. */
const LOG_PAGE_BYTES = 1024 * 1024

/** Not prepared before it is asked for: a file of the first layout, which is read for a migration, has no prev_id. */
const VERSION_AT = `
WITH RECURSIVE past (id, rev, prev_id) AS (
  SELECT id, rev, prev_id FROM log WHERE id = ?
  UNION ALL
  SELECT log.id, log.rev, log.prev_id FROM past JOIN log ON log.id = past.prev_id WHERE past.rev > ?
)
SELECT ${VERSION_COLUMNS} FROM log WHERE id = (SELECT id FROM past WHERE rev <= ? LIMIT 1)`

/** Everything that reads, on a connection of its own. Synchronous: lives in the reader thread. */
export class ReaderConnection {
  readonly #value: Statement<[number], Buffer>
  readonly #log: Statement<[number, number, number, number], StoredVersion>
  readonly #db: Connection
  #scan: IndexScan | undefined

  constructor(db: Connection) {
    this.#db = db
    this.#value = db.values<[number], Buffer>('SELECT value FROM log WHERE id = ?')
    this.#log = db.rows(
      `SELECT ${VERSION_COLUMNS} FROM log WHERE id >= ? AND rev >= ? AND rev <= ? ORDER BY id LIMIT ?`,
    )
  }

  /** The next page of a scan that began when `after` was undefined. */
  readIndex(after: Uint8Array | undefined): ArrayBuffer {
    if (after === undefined) this.#scan = new IndexScan(this.#db)
    const reply = new PacketWriter(64 * 1024)
    for (const row of this.#scan?.nextPage() ?? []) reply.version(row)
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

  /** Request: revision, a newer row of each key. Reply: for each key 1 and its version, or 0. */
  readVersions(request: ArrayBuffer): ArrayBuffer {
    const packet = new PacketReader(request)
    const revision = packet.number()
    const reply = new PacketWriter()
    while (!packet.atEnd) {
      const version = this.#versionAt(packet.number(), revision)
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
    const before = created || !withPrevious ? undefined : this.#versionAt(row.id, row.modRevision - 1)
    const previous = before?.version === 0 ? undefined : before
    body.number(previous === undefined ? 0 : 1)
    if (previous === undefined) return
    body.version(previous)
    this.#addValue(previous.id, body)
  }

  /** The first version not newer than `revision` on the way back from a row. */
  #versionAt(fromId: number, revision: number): StoredVersion | undefined {
    return this.#db.rows<[number, number, number], StoredVersion>(VERSION_AT).get(fromId, revision, revision)
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
