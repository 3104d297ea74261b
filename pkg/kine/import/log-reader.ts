import type { Revision } from '#pkg/kine/backend.ts'
import type { Dialect, LogRow } from '#pkg/kine/dialect/dialect.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'

/** Rows of a page; pages are bounded in bytes as well. */
const PAGE_ROWS = 2000
const everything = { start: Buffer.alloc(0), end: Buffer.alloc(0) }

/** The changes after a revision, up to and with another: pages of whole revisions, the next one read while one is used. */
export async function* readChanges(
  dialect: Pick<Dialect, 'readLog'>,
  after: Revision,
  to: Revision,
): AsyncGenerator<readonly StoredChange[]> {
  const read = (from: Revision): ReturnType<Dialect['readLog']> => {
    const page = dialect.readLog({ range: everything, from, to, maxRows: PAGE_ROWS, withPrevious: false })
    // Whoever takes it sees the failure; nobody may be there yet.
    page.catch(() => undefined)
    return page
  }
  for (let next = after < to ? read(after + 1) : undefined; next !== undefined;) {
    const { rows, through } = await next
    next = through < to ? read(through + 1) : undefined
    if (rows.length > 0) yield rows.map(toChange)
  }
}

function toChange({ now, value }: LogRow): StoredChange {
  const { key, modRevision: revision, createRevision, version, lease } = now
  return { key, revision, createRevision, version, lease, value }
}
