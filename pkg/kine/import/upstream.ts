import type { LeaseRecord, Revision } from '#pkg/kine/backend.ts'
import type { UpstreamRow } from '#pkg/kine/dialect/dialect.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'
import { identity } from '#pkg/kine/keys.ts'

/** Its prev_revision column is the compact revision; the API server's key of that name is never stored. */
const COMPACT_KEY = Buffer.from('compact_rev_key')
/** Rows `gap-<id>` stand for ids that an aborted insert has used up. */
const GAP_PREFIX = Buffer.from('gap-')

/**
 * Turns rows of an upstream kine's table into changes of ours, in the order of their ids, which are the revisions.
 *
 * Upstream knows no versions: they are counted, from 2 where compaction has removed the creation. Its lease column holds
 * the seconds to live instead of an id: each number of seconds becomes one lease with that number as its id, so that
 * `lease` reads as before.
 */
export class UpstreamHistory {
  readonly #lives = new Map<string, Life>()
  readonly #leaseSeconds = new Set<number>()
  #revision: Revision = 1
  #compactRevision: Revision = -1

  /** Newest id so far: the store's revision. */
  get revision(): Revision {
    return this.#revision
  }

  /** -1 before the first compaction. */
  get compactRevision(): Revision {
    return this.#compactRevision
  }

  /** Upstream does not know when a key was written either: after a start it counts the whole time again. */
  leases(): readonly LeaseRecord[] {
    return [...this.#leaseSeconds].map((seconds) => ({
      id: seconds,
      ttlSeconds: seconds,
      remainingMs: seconds * 1000,
    }))
  }

  /** The change that a row stands for; undefined for what are no objects. */
  change(row: UpstreamRow): StoredChange | undefined {
    this.#revision = Math.max(this.#revision, row.id)
    if (row.name.equals(COMPACT_KEY)) {
      if (row.previousRevision > 0) this.#compactRevision = Math.max(this.#compactRevision, row.previousRevision)
      return undefined
    }
    if (row.deleted && row.name.subarray(0, GAP_PREFIX.length).equals(GAP_PREFIX)) return undefined
    return row.deleted ? this.#deletion(row) : this.#put(row)
  }

  #put({ id, name, created, createRevision, lease, value }: UpstreamRow): StoredChange {
    const key = identity(name)
    const before = this.#lives.get(key)
    const life = nextLife(created ? undefined : before, created ? id : createRevision || id, id)
    this.#lives.set(key, life)
    if (lease > 0) this.#leaseSeconds.add(lease)
    return { key: name, revision: id, ...life, lease: Math.max(lease, 0), value }
  }

  #deletion({ id, name, createRevision }: UpstreamRow): StoredChange {
    const key = identity(name)
    const ended = this.#lives.get(key)?.createRevision ?? createRevision
    this.#lives.delete(key)
    return { key: name, revision: id, createRevision: ended, version: 0, lease: 0, value: Buffer.alloc(0) }
  }
}

interface Life {
  readonly createRevision: Revision
  readonly version: number
}

function nextLife(before: Life | undefined, createRevision: Revision, id: Revision): Life {
  if (before !== undefined) return { ...before, version: before.version + 1 }
  return { createRevision, version: createRevision === id ? 1 : 2 }
}
