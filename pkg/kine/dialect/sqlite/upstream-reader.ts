import type { UpstreamRow } from '#pkg/kine/dialect/dialect.ts'
import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import { PacketReader, PacketWriter } from '#pkg/kine/dialect/sqlite/packet.ts'
import { ownCopy } from '#pkg/kine/keys.ts'

/** A page of the table ends behind the row that exceeds this. */
const PAGE_BYTES = 1024 * 1024
/** Rows a page at most. */
const PAGE_ROWS = 2000

/** Reads the table of an upstream kine. Names had numeric affinity before v0.10: whatever they are, their bytes count. */
export class UpstreamReader {
  readonly #db: Connection

  constructor(db: Connection) {
    this.#db = db
  }

  /** Rows with a higher id, empty at the end. */
  rows(after: number): ArrayBuffer {
    const reply = new PacketWriter(64 * 1024)
    const rows = this.#db.rows<[number, number], StoredRow>(SELECT).all(after, PAGE_ROWS)
    for (const row of rows) {
      for (const name of NUMBERS) reply.number(row[name])
      reply.bytes(row.name)
      reply.bytes(this.#db.values<[number], Buffer | null>(SELECT_VALUE).get(row.id) ?? Buffer.alloc(0))
      if (reply.length > PAGE_BYTES) break
    }
    return reply.finish()
  }
}

/** What UpstreamReader.rows wrote. */
export function readUpstreamRows(reply: ArrayBuffer): readonly UpstreamRow[] {
  const packet = new PacketReader(reply)
  const rows: UpstreamRow[] = []
  while (!packet.atEnd) {
    const [id, created, deleted] = [packet.number(), packet.number() !== 0, packet.number() !== 0]
    const [createRevision, previousRevision, lease] = [packet.number(), packet.number(), packet.number()]
    const [name, value] = [ownCopy(packet.present()), packet.present()]
    rows.push({ id, created, deleted, createRevision, previousRevision, lease, name, value })
  }
  return rows
}

const NUMBERS = ['id', 'created', 'deleted', 'createRevision', 'previousRevision', 'lease'] as const

type StoredRow = Record<(typeof NUMBERS)[number], number> & { readonly name: Buffer }

const SELECT = `
SELECT id, coalesce(created, 0) AS created, coalesce(deleted, 0) AS deleted,
  coalesce(create_revision, 0) AS createRevision, coalesce(prev_revision, 0) AS previousRevision,
  coalesce(lease, 0) AS lease, CAST(name AS BLOB) AS name
FROM kine WHERE id > ? ORDER BY id LIMIT ?`
const SELECT_VALUE = 'SELECT CAST(value AS BLOB) FROM kine WHERE id = ?'
