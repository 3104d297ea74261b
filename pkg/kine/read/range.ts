import type { KeyRange, KeyVersion, RangeQuery, RangeResult, Revision } from '#pkg/kine/backend.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import type { IndexSlice } from '#pkg/kine/index/key-index.ts'
import { valueOf } from '#pkg/kine/wire/key-value.ts'

/** Keys whose old version is asked of the database in one call. */
const HISTORY_BATCH = 500

/** What a range is answered from: the index, or the index under the changes of an open batch. */
export interface VersionView {
  count(range: KeyRange): number
  list(range: KeyRange, limit: number): readonly KeyVersion[]
}

/** Answers a query at the newest revision, from memory. Ordering by value is left to `sortByValue`. */
export function rangeNow(view: VersionView, query: RangeQuery, revision: Revision): RangeResult {
  const { range, countOnly } = query
  const count = view.count(range)
  if (countOnly) return { revision, versions: [], more: false, count, keysOnly: query.keysOnly }
  return select(view.list(range, fetchLimit(query)), query, revision, count)
}

/**
 * Versions to take in key order before filtering and sorting, 0 for all: one more than asked tells whether there is
 * more. As in etcd, a sort target without an order does not count as sorting here: the first ones by key are sorted.
 */
function fetchLimit(query: RangeQuery): number {
  return query.limit > 0 && !reorders(query) ? query.limit + 1 : 0
}

/** Answers a query at an older revision; `slice` was taken from the index at the time of the call. */
export async function rangeAt(
  slice: IndexSlice,
  query: RangeQuery,
  revision: Revision,
  dialect: Pick<Dialect, 'readVersions'>,
): Promise<RangeResult> {
  const at = query.revision
  const versions = slice.unknown === 0 ? slice.candidates : await resolveHistory(slice.candidates, at, dialect)
  const live = versions.filter(({ version }) => version > 0)
  const fetch = fetchLimit(query)
  if (!query.countOnly) return select(fetch > 0 ? live.slice(0, fetch) : live, query, revision, live.length)
  return { revision, versions: [], more: false, count: live.length, keysOnly: query.keysOnly }
}

/** Orders by value and cuts to the limit once the values are known. */
export function sortByValue(
  result: RangeResult,
  query: RangeQuery,
  keyValues: readonly Buffer[],
): { readonly result: RangeResult; readonly keyValues: readonly Buffer[] } {
  const pairs = result.versions.map((version, i) => ({ version, kv: keyValues[i] ?? Buffer.alloc(0) }))
  const direction = query.sortOrder === 'descend' ? -1 : 1
  pairs.sort((a, b) => direction * valueOf(a.kv).compare(valueOf(b.kv)))
  const more = query.limit > 0 && pairs.length > query.limit
  const page = more ? pairs.slice(0, query.limit) : pairs
  return {
    result: { ...result, more, versions: page.map(({ version }) => version) },
    keyValues: page.map(({ kv }) => kv),
  }
}

async function resolveHistory(
  candidates: readonly KeyVersion[],
  at: Revision,
  dialect: Pick<Dialect, 'readVersions'>,
): Promise<KeyVersion[]> {
  const unknown = candidates.filter(({ modRevision }) => modRevision > at)
  const known = new Map<KeyVersion, KeyVersion | undefined>()
  for (let i = 0; i < unknown.length; i += HISTORY_BATCH) {
    const batch = unknown.slice(i, i + HISTORY_BATCH)
    const versions = await dialect.readVersions(
      batch.map(({ key }) => key),
      at,
      batch.map(({ id }) => id),
    )
    batch.forEach((candidate, j) => known.set(candidate, versions[j]))
  }
  return candidates.flatMap((candidate) => {
    const version = candidate.modRevision > at ? known.get(candidate) : candidate
    return version === undefined ? [] : [version]
  })
}

function reorders(query: RangeQuery): boolean {
  return (
    query.sortOrder !== 'none' ||
    query.minModRevision !== 0 ||
    query.maxModRevision !== 0 ||
    query.minCreateRevision !== 0 ||
    query.maxCreateRevision !== 0
  )
}

function select(versions: readonly KeyVersion[], query: RangeQuery, revision: Revision, count: number): RangeResult {
  const sorted = sort(filter(versions, query), query)
  const { limit, keysOnly } = query
  // By value: the whole list goes on, sortByValue cuts it.
  const more = limit > 0 && sorted.length > limit && query.sortTarget !== 'value'
  return { revision, versions: more ? sorted.slice(0, limit) : sorted, more, count, keysOnly }
}

function filter(versions: readonly KeyVersion[], query: RangeQuery): readonly KeyVersion[] {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = query
  if (minModRevision === 0 && maxModRevision === 0 && minCreateRevision === 0 && maxCreateRevision === 0)
    return versions
  return versions.filter(
    ({ modRevision, createRevision }) =>
      (minModRevision === 0 || modRevision >= minModRevision) &&
      (maxModRevision === 0 || modRevision <= maxModRevision) &&
      (minCreateRevision === 0 || createRevision >= minCreateRevision) &&
      (maxCreateRevision === 0 || createRevision <= maxCreateRevision),
  )
}

function sort(versions: readonly KeyVersion[], query: RangeQuery): readonly KeyVersion[] {
  const { sortTarget, sortOrder } = query
  if (sortTarget === 'value') return versions
  if (sortTarget === 'key') return sortOrder === 'descend' ? versions.toReversed() : versions
  const field = { version: 'version', create: 'createRevision', mod: 'modRevision' } as const
  const name = field[sortTarget]
  const direction = sortOrder === 'descend' ? -1 : 1
  return versions.toSorted((a, b) => direction * (a[name] - b[name]))
}
