import type { KeyVersion, Revision } from '#pkg/kine/backend.ts'
import type { Head } from '#pkg/kine/dialect/dialect.ts'
import type { Row } from '#pkg/kine/dialect/postgres/row.ts'

/** The columns `HEAD` of statements.ts. */
export function readHead(row: Row): Head {
  return { revision: row.number(), lastId: row.number(), compactRevision: row.number(), leaseSeq: row.number() }
}

/** The columns `version` of statements.ts, with a key of its own. */
export function readVersion(row: Row): KeyVersion {
  return versionAt(row.number(), row)
}

/** The columns behind the first, which was the id. */
export function versionAt(id: number, row: Row): KeyVersion {
  const modRevision: Revision = row.number()
  const createRevision: Revision = row.number()
  const version = row.number()
  const lease = row.lease()
  return { id, modRevision, createRevision, version, lease, key: row.ownBytes(), valueSize: row.number() }
}
