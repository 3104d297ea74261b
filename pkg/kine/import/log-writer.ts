import { ROWS_PER_REVISION } from '#pkg/kine/backend.ts'
import type { LeaseRecord, Revision } from '#pkg/kine/backend.ts'
import { UNKNOWN_ROW } from '#pkg/kine/dialect/dialect.ts'
import type { Dialect, Head, NewRow } from '#pkg/kine/dialect/dialect.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'

/** What makes a filled store a usable one. */
export interface Completion {
  /** Revision of the store; may be above that of the last change. */
  readonly revision: Revision
  readonly compactRevision: Revision
  readonly leases: readonly LeaseRecord[]
}

/**
 * Fills an empty store with the log of another one, revisions and all. How far it has come is the store's own head, so a
 * killed program goes on behind the last committed change.
 *
 * INVARIANT: batches hold whole revisions.
 */
export class LogWriter {
  readonly #dialect: Dialect
  readonly #pendingMark: Revision
  #head: Head

  /** `pendingMark` is the compact revision until `complete`, see incomplete.ts. */
  constructor(dialect: Dialect, head: Head, pendingMark: Revision) {
    this.#dialect = dialect
    this.#head = head
    this.#pendingMark = pendingMark
  }

  /** All changes up to this revision are there; 0 before the first. */
  get revision(): Revision {
    return this.#head.lastId === 0 ? 0 : this.#head.revision
  }

  /** Commits the changes, all of which must be newer than `revision`; false: somebody else has written. @throws StoreError */
  write(changes: readonly StoredChange[]): Promise<boolean> {
    const rows: NewRow[] = []
    let { lastId, revision } = this.#head
    for (const change of changes) {
      lastId = Math.max(lastId + 1, change.revision * ROWS_PER_REVISION)
      revision = change.revision
      rows.push(toRow(change, lastId))
    }
    return this.#append(rows, [], { ...this.#head, revision, lastId, compactRevision: this.#pendingMark })
  }

  /** Makes the store usable; false: somebody else has written. @throws StoreError */
  complete({ revision, compactRevision, leases }: Completion): Promise<boolean> {
    let head = this.#head
    const rows: NewRow[] = []
    if (head.revision < revision) {
      const lastId = Math.max(head.lastId + 1, revision * ROWS_PER_REVISION)
      rows.push(toRow(fillChange(revision), lastId))
      head = { ...head, revision, lastId }
    }
    const leaseSeq = leases.length === 0 ? head.leaseSeq : head.leaseSeq + 1
    return this.#append(rows, leases, { ...head, compactRevision, leaseSeq })
  }

  async #append(rows: readonly NewRow[], leases: readonly LeaseRecord[], next: Head): Promise<boolean> {
    const { committed } = await this.#dialect.append({ rows, leases, revokedLeases: [], after: this.#head, next })
    if (committed) this.#head = next
    return committed
  }
}

/**
 * A change that changes nothing: the revision of a store is that of its newest row, which upstream may have used for none.
 * Upstream's own fill rows have such names; nobody watches them.
 */
export function fillChange(revision: Revision): StoredChange {
  const key = Buffer.from(`gap-${revision}`)
  return { key, revision, createRevision: 0, version: 0, lease: 0, value: Buffer.alloc(0) }
}

function toRow(change: StoredChange, id: number): NewRow {
  const { key, revision: modRevision, createRevision, version, lease, value } = change
  const now = { key, id, modRevision, createRevision, version, lease, valueSize: value.length }
  return { now, value, replacedId: UNKNOWN_ROW, previousId: 0 }
}
