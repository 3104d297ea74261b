import type { KeyVersion, LeaseId, RowId } from '#pkg/kine/backend.ts'
import type { Row } from '#pkg/kine/dialect/mysql/session.ts'
import { canonicalInt64 } from '#pkg/kine/wire/int64.ts'

/** Columns that `keyVersion` reads, in its order. */
export const VERSION_COLUMNS = ['id', 'rev', '`key`', 'create_rev', 'version', 'lease', 'value_size'] as const

/** A column that holds a safe integer. */
export function integer(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw new RangeError(
      `the database holds ${typeof value === 'number' ? value : typeof value} where a safe integer belongs`,
    )
  }
  return value
}

/** The id of a lease: beyond 2^53 mysql2 gives it as text. */
export function leaseId(value: unknown): LeaseId {
  return typeof value === 'string' ? canonicalInt64(value) : integer(value)
}

/** A binary column: a view of what was received, so who keeps it for long must copy it. */
export function bytes(value: unknown): Buffer {
  if (!Buffer.isBuffer(value)) throw new TypeError('the database holds no bytes where bytes belong')
  return value
}

/** The version in a row that starts with VERSION_COLUMNS at `at`. */
export function keyVersion(row: Row, at = 0): KeyVersion {
  return {
    id: integer(row[at]),
    modRevision: integer(row[at + 1]),
    key: bytes(row[at + 2]),
    createRevision: integer(row[at + 3]),
    version: integer(row[at + 4]),
    lease: leaseId(row[at + 5]),
    valueSize: integer(row[at + 6]),
  }
}

/** Rows of (id, value) as a map. */
export function idValues(rows: readonly unknown[]): Map<RowId, Buffer> {
  return new Map((rows as readonly Row[]).map(([id, value]) => [integer(id), bytes(value)]))
}
