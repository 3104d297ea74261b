import type { LeaseRecord } from '#pkg/kine/backend.ts'
import type { StoredState } from '#pkg/kine/dialect/dialect.ts'
import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import { getMeta, holdsLog, leaseIdColumn } from '#pkg/kine/dialect/sqlite/schema.ts'
import { UPSTREAM_ONLY } from '#pkg/kine/import/incomplete.ts'
import { canonicalInt64 } from '#pkg/kine/wire/int64.ts'

/** What the database holds; reads only. */
export function readState(db: Connection): StoredState {
  if (!holdsLog(db)) return UPSTREAM_ONLY
  const last = db.rows<[], { id: number; rev: number }>('SELECT id, rev FROM log ORDER BY id DESC LIMIT 1').get()
  const leases = db
    .rows<[number], StoredLease>(
      `SELECT ${leaseIdColumn('id')} AS id, ttl_s AS ttlSeconds, expires_at_ms - ? AS remainingMs FROM lease`,
    )
    .all(Date.now())
    .map((lease) => ({ ...lease, id: typeof lease.id === 'string' ? canonicalInt64(lease.id) : lease.id }))
  return {
    clusterId: getMeta(db, 'cluster_id'),
    memberId: getMeta(db, 'member_id'),
    revision: last?.rev ?? 1,
    lastId: last?.id ?? 0,
    compactRevision: getMeta(db, 'compact_rev'),
    prunedRevision: getMeta(db, 'pruned_rev'),
    leaseSeq: 0,
    leases,
  }
}

type StoredLease = Omit<LeaseRecord, 'id'> & { readonly id: number | string }
