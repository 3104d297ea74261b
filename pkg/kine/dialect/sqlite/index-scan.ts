import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import type { StoredVersion } from '#pkg/kine/dialect/sqlite/packet.ts'
import { VERSION_COLUMNS } from '#pkg/kine/dialect/sqlite/schema.ts'

/** Rows that are read for a page. */
const PAGE_ROWS = 2000

const ROWS = `SELECT ${VERSION_COLUMNS}, prev_id AS replacedId FROM log WHERE id < ? ORDER BY id DESC LIMIT ${PAGE_ROWS}`

type Row = StoredVersion & { readonly replacedId: number }

/**
 * The newest version of every key, the newest row of the log first: a row that a newer one has named as the one before
 * it is history. Remembers those only that are still to come.
 */
export class IndexScan {
  readonly #db: Connection
  readonly #replaced = new Set<number>()
  #before = Number.MAX_SAFE_INTEGER

  constructor(db: Connection) {
    this.#db = db
  }

  /** Empty at the end. */
  nextPage(): readonly StoredVersion[] {
    for (;;) {
      const rows = this.#db.rows<[number], Row>(ROWS).all(this.#before)
      const newest = rows.filter((row) => this.#isNewest(row))
      this.#before = rows.at(-1)?.id ?? 0
      if (newest.length > 0 || rows.length === 0) return newest
    }
  }

  #isNewest({ id, replacedId }: Row): boolean {
    if (replacedId > 0) this.#replaced.add(replacedId)
    return !this.#replaced.delete(id)
  }
}
