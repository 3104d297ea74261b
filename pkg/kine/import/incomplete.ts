import type { Revision } from '#pkg/kine/backend.ts'
import type { StoredState } from '#pkg/kine/dialect/dialect.ts'

/*
 * A store that is still being filled has a compact revision above its revision, which nothing else leads to. It is set
 * with the first rows, or with the tables, and replaced with the last: all in the transactions that write them.
 */

/** Compact revision of a store that `k0s datastore migrate` has not finished. */
export const COPY_PENDING: Revision = Number.MAX_SAFE_INTEGER

/** Compact revision of a store that is yet to be filled from the table of an upstream kine in the same database. */
export const IMPORT_PENDING: Revision = Number.MAX_SAFE_INTEGER - 1

/** A database of upstream's that is only read has no tables of ours: as if they had just been made. */
export const UPSTREAM_ONLY: StoredState = {
  clusterId: 0,
  memberId: 0,
  revision: 1,
  lastId: 0,
  compactRevision: IMPORT_PENDING,
  prunedRevision: -1,
  leaseSeq: 0,
  leases: [],
  alarms: [],
}
