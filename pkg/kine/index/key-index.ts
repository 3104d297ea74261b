import type { Key, KeyRange, KeyVersion, Revision } from '#pkg/kine/backend.ts'
import { KeyTree } from '#pkg/kine/index/key-tree.ts'

/** Keys that a read at an old revision found without knowing their version there. */
export interface IndexSlice {
  /** In key order: live versions not newer than the revision, and for the others the newest one known. */
  readonly candidates: readonly KeyVersion[]
  /** How many of `candidates` are newer than the revision: their state there is in the log only. */
  readonly unknown: number
}

/**
 * The newest version of every key, in memory: compare-and-swap, counting, listing of keys and "not found" need no SQL.
 * Deleted keys stay in a second tree until their tombstone is compacted, so that reads at older revisions find them.
 * One version a key: history is read from the log.
 */
export class KeyIndex {
  #live = new KeyTree()
  #dead = new KeyTree()

  /** Number of live keys. */
  get size(): number {
    return this.#live.size
  }

  /** The live version of a key. */
  get(key: Key): KeyVersion | undefined {
    return this.#live.get(key)
  }

  /** The newest version of a key, its tombstone included. */
  newest(key: Key): KeyVersion | undefined {
    return this.#live.get(key) ?? this.#dead.get(key)
  }

  count(range: KeyRange): number {
    return this.#live.count(range)
  }

  /** Live versions of the range in key order, at most `limit` (0: all). */
  list(range: KeyRange, limit = 0): KeyVersion[] {
    return this.#live.list(range, limit)
  }

  /** Calls `visit` for every live version in key order. */
  each(visit: (version: KeyVersion) => void): void {
    this.#live.scan({ start: Buffer.alloc(0), end: Buffer.alloc(0) }, (version) => {
      visit(version)
      return true
    })
  }

  /** What is known of the range at `revision`, an older one than the newest. */
  at(range: KeyRange, revision: Revision): IndexSlice {
    const live = this.#live.list(range)
    const dead: KeyVersion[] = []
    this.#dead.scan(range, (item) => {
      if (item.modRevision > revision) dead.push(item)
      return true
    })
    const candidates = dead.length === 0 ? live : mergeByKey(live, dead)
    let unknown = 0
    for (const { modRevision } of candidates) if (modRevision > revision) unknown += 1
    return { candidates, unknown }
  }

  /** Takes over the newest version of a key, a tombstone included. */
  apply(version: KeyVersion): void {
    if (version.version === 0) {
      this.#live.delete(version.key)
      this.#dead.set(version)
      return
    }
    if (version.version === 1) this.#dead.delete(version.key)
    this.#live.set(version)
  }

  /** Takes the place of what is here with what `other` holds, which must not be used afterwards. */
  adopt(other: KeyIndex): void {
    this.#live = other.#live
    this.#dead = other.#dead
  }

  /**
   * Forgets tombstones older than `revision`, looking at no more than `limit` of them.
   * @returns where to go on, undefined when done
   */
  forgetTombstones(revision: Revision, from: Key | undefined, limit: number): Key | undefined {
    const seen = this.#dead.list({ start: from ?? Buffer.alloc(0), end: Buffer.alloc(0) }, limit)
    for (const { key, modRevision } of seen) if (modRevision < revision) this.#dead.delete(key)
    const last = seen.at(-1)
    return last === undefined || seen.length < limit ? undefined : Buffer.concat([last.key, Buffer.alloc(1)])
  }
}

function mergeByKey(a: readonly KeyVersion[], b: readonly KeyVersion[]): KeyVersion[] {
  const merged: KeyVersion[] = []
  let j = 0
  for (const item of a) {
    for (let other = b[j]; other !== undefined && other.key.compare(item.key) < 0; other = b[j]) {
      merged.push(other)
      j += 1
    }
    merged.push(item)
  }
  for (; j < b.length; j += 1) {
    const other = b[j]
    if (other !== undefined) merged.push(other)
  }
  return merged
}
