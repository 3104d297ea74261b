import type { LeaseId, LeaseRecord } from '#pkg/kine/backend.ts'
import { bootClockMs, currentBoot } from '#pkg/kine/dialect/sqlite/boot-clock.ts'
import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import { getMeta, int64Column, setMeta } from '#pkg/kine/dialect/sqlite/schema.ts'
import { canonicalInt64 } from '#pkg/kine/wire/int64.ts'

/**
 * Leases as they are stored: until when, by the clock of the boot that `lease_boot` of the table `meta` names. A restart of
 * kine goes on counting, whatever has become of the wall clock; after one of the machine, or on another one, nobody knows
 * how much time has passed, and every lease gets its full time again, as in etcd: late perhaps, never early.
 */
export function readLeases(db: Connection): readonly LeaseRecord[] {
  const sameBoot = getMeta(db, 'lease_boot') === currentBoot()
  const now = bootClockMs()
  const columns = `${int64Column('id')} AS id, ttl_s AS ttlSeconds, expires_at_ms AS expiresAtMs`
  return db
    .rows<[], StoredLease>(`SELECT ${columns} FROM lease`)
    .all()
    .map(({ id, ttlSeconds, expiresAtMs }) => ({
      id: toInt64(id),
      ttlSeconds,
      remainingMs: sameBoot ? expiresAtMs - now : ttlSeconds * 1000,
    }))
}

/** Begins to count by the clock of this boot; to be called before leases are read or written. */
export function countFromThisBoot(db: Connection): void {
  const boot = currentBoot()
  if (getMeta(db, 'lease_boot') === boot) return
  db.transaction(() => {
    db.rows<[number], never>('UPDATE lease SET expires_at_ms = ? + ttl_s * 1000').run(bootClockMs())
    setMeta(db, 'lease_boot', boot)
  })
}

/** An id as `int64Column` gives it. */
export function toInt64(value: number | string): LeaseId {
  return typeof value === 'string' ? canonicalInt64(value) : value
}

interface StoredLease {
  readonly id: number | string
  readonly ttlSeconds: number
  readonly expiresAtMs: number
}
