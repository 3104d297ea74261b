import type { AlarmMember } from '#pkg/kine/alarm/alarms.ts'
import type { LeaseId } from '#pkg/kine/backend.ts'
import type { AppendBatch, Head, NewRow } from '#pkg/kine/dialect/dialect.ts'

interface StoredLease {
  readonly ttlSeconds: number
  readonly remainingMs: number
  readonly seq: number
  readonly revoked: boolean
}

/** A database in memory that several MemoryDialects can have open at once. */
export class MemoryDatabase {
  rows: NewRow[] = []
  /** All rows that ever were committed, pruned ones included. */
  readonly history: NewRow[] = []
  readonly leases = new Map<LeaseId, StoredLease>()
  alarms: readonly AlarmMember[] = []
  /** Every compact revision that ever was. */
  readonly compactions = new Set<number>()
  head: Head = { revision: 1, lastId: 0, compactRevision: -1, leaseSeq: 0 }
  /** Pruning at this revision has begun. */
  pruningRevision = -1
  prunedRevision = -1
  /** Tombstones of leases up to this sequence number are gone. */
  leasesPrunedSeq = 0
  /** Batches committed so far. */
  commits = 0
  /** Called with the new head after every commit. */
  readonly followers = new Set<(head: Head, before: Head) => void>()
  #lockedUntil: Promise<unknown> = Promise.resolve()

  /** Waits for the lock on the head; the function that is returned lets it go. */
  async lock(): Promise<() => void> {
    const released = Promise.withResolvers<undefined>()
    const before = this.#lockedUntil
    this.#lockedUntil = released.promise
    await before
    return () => released.resolve(undefined)
  }

  /** Commits the batch if its head is the newest; to be called with the lock held. */
  commit({ rows, leases, revokedLeases, alarms, after, next }: AppendBatch): boolean {
    const { head } = this
    if (after.lastId !== head.lastId || after.leaseSeq !== head.leaseSeq) return false
    if (after.revision !== head.revision || after.compactRevision !== head.compactRevision) return false
    this.commits += 1
    this.rows.push(...rows)
    this.history.push(...rows)
    for (const { id, ttlSeconds, remainingMs } of leases) {
      this.leases.set(id, { ttlSeconds, remainingMs, seq: next.leaseSeq, revoked: false })
    }
    for (const id of revokedLeases) {
      this.leases.set(id, { ttlSeconds: 0, remainingMs: 0, seq: next.leaseSeq, revoked: true })
    }
    if (alarms !== undefined) {
      const kept = this.alarms.filter(({ memberId, alarm }) => {
        return !alarms.disarmed.some((other) => other.memberId === memberId && other.alarm === alarm)
      })
      this.alarms = [...kept, ...alarms.raised]
    }
    this.head = next
    this.compactions.add(next.compactRevision)
    for (const follower of this.followers) follower(next, head)
    return true
  }

  /** Forgets revoked leases. */
  pruneLeases(): void {
    this.leasesPrunedSeq = this.head.leaseSeq
    for (const [id, { revoked }] of this.leases) if (revoked) this.leases.delete(id)
  }
}
