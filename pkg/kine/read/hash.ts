import { crc32 } from 'node:zlib'
import type { KeyRange, KeyVersion, RangeQuery, Revision } from '#pkg/kine/backend.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import { encodeKeyValue, encodeTombstone } from '#pkg/kine/wire/key-value.ts'

/** Values of the compacted state that are read in one go. */
const STATE_BATCH = 500
/** Rows of the log that are read in one go. */
const LOG_ROWS = 500

const EVERYTHING: KeyRange = { start: Buffer.alloc(0), end: Buffer.alloc(0) }

/** Asks for every key as it was at a revision. */
export function everythingAt(revision: Revision): RangeQuery {
  return {
    range: EVERYTHING,
    revision,
    limit: 0,
    sortOrder: 'none',
    sortTarget: 'key',
    keysOnly: false,
    countOnly: false,
    serializable: true,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  }
}

/** What a hash is made of. */
export interface HashDeps {
  readonly dialect: Pick<Dialect, 'readLog'>
  /** Encoded mvccpb.KeyValue of each version, in order. */
  readonly load: (versions: readonly KeyVersion[]) => Promise<readonly Buffer[]>
}

/**
 * CRC-32 of what a store at `compactRevision` + everything up to `through` holds: the live keys as they were at the
 * compact revision, `base`, then every change after it. So it is the same whatever has been pruned already, on every
 * instance of one database and over restarts. The number is not etcd's, which hashes its own file format.
 */
export async function hashHistory(
  base: readonly KeyVersion[],
  changes: { readonly from: Revision; readonly through: Revision },
  { dialect, load }: HashDeps,
): Promise<number> {
  let hash = 0
  for (let i = 0; i < base.length; i += STATE_BATCH) {
    for (const kv of await load(base.slice(i, i + STATE_BATCH))) hash = crc32(kv, hash)
  }
  const { through: to } = changes
  for (let from = Math.max(1, changes.from); from <= to;) {
    const query = { range: EVERYTHING, from, to, maxRows: LOG_ROWS, withPrevious: false }
    const { rows, through } = await dialect.readLog(query)
    for (const { now, value } of rows) {
      hash = crc32(now.version === 0 ? encodeTombstone(now) : encodeKeyValue(now, value), hash)
    }
    from = through + 1
  }
  return hash
}
