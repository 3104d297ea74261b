import type { Key, KeyVersion, LeaseId, LeaseRecord, LeaseState } from '#pkg/kine/backend.ts'
import { identity } from '#pkg/kine/keys.ts'

/** etcd's limit for LeaseGrantRequest.TTL, seconds. */
export const MAX_LEASE_TTL_SECONDS = 9_000_000_000

/** etcd's shortest lease with its default election timeout (1 s): ceil(3/2 of ten heartbeats), seconds. */
export const MIN_LEASE_TTL_SECONDS = 2

interface Lease {
  record: LeaseRecord
  /** On the monotonic clock, so that a step of the wall clock neither expires nor prolongs it. */
  expiresAt: number
  /** When `record` was put, on that clock. */
  putAt: number
  /** The bytes of each key as latin1 text, see `identity`. */
  readonly keys: Set<string>
}

/** What Lessor needs of its surroundings. */
export interface LessorDeps {
  /** Monotonic clock, milliseconds. */
  readonly monotonic: () => number
}

/**
 * Leases and the keys attached to them, in memory. Only apply.ts changes it, with what has been committed. Time passes for
 * a lease only while an instance counts it, on a clock that nobody can set: after a restart of all of them it has what was
 * left when that was last stored (checkpointer.ts; dialect/sqlite/lease-table.ts knows better), late perhaps, never early.
 */
export class Lessor {
  #leases = new Map<LeaseId, Lease>()
  readonly #deps: LessorDeps

  constructor(deps: LessorDeps) {
    this.#deps = deps
  }

  has(id: LeaseId): boolean {
    return this.#leases.has(id)
  }

  record(id: LeaseId): LeaseRecord | undefined {
    return this.#leases.get(id)?.record
  }

  ids(): LeaseId[] {
    return [...this.#leases.keys()]
  }

  keys(id: LeaseId): readonly Key[] {
    return Array.from(this.#leases.get(id)?.keys ?? [], (name) => Buffer.from(name, 'latin1'))
  }

  state(id: LeaseId): LeaseState | undefined {
    const lease = this.#leases.get(id)
    if (lease === undefined) return undefined
    const remainingMs = lease.expiresAt - this.#deps.monotonic()
    return {
      id,
      ttlSeconds: lease.record.ttlSeconds,
      remainingSeconds: Math.max(0, Math.floor(remainingMs / 1000)),
      keys: this.keys(id),
    }
  }

  /** Adds a lease or takes over its new expiry, counted from now: late by the time it took to get here, never early. */
  put(record: LeaseRecord): void {
    const remainingMs = Math.max(0, Math.min(record.remainingMs, record.ttlSeconds * 1000))
    const putAt = this.#deps.monotonic()
    const expiresAt = putAt + remainingMs
    const lease = this.#leases.get(record.id)
    if (lease === undefined) this.#leases.set(record.id, { record, expiresAt, putAt, keys: new Set() })
    else Object.assign(lease, { record, expiresAt, putAt })
  }

  /** Takes the place of what is here with what `other` holds, which must not be used afterwards. */
  adopt(other: Lessor): void {
    this.#leases = other.#leases
  }

  /**
   * Gives every lease so much more time, but none more than its time to live: its owner could not renew it, as etcd does
   * when it has been without a leader.
   */
  prolong(ms: number): void {
    const now = this.#deps.monotonic()
    for (const lease of this.#leases.values()) {
      const latest = Math.max(lease.expiresAt, now + lease.record.ttlSeconds * 1000)
      lease.expiresAt = Math.min(lease.expiresAt + ms, latest)
    }
  }

  drop(id: LeaseId): void {
    this.#leases.delete(id)
  }

  /** Moves a key from the lease of its old version to that of its new one. */
  moveKey(previous: KeyVersion | undefined, now: KeyVersion): void {
    const before = previous?.lease ?? 0
    const after = now.version === 0 ? 0 : now.lease
    if (before === after) return
    const name = identity(now.key)
    if (before !== 0) this.#leases.get(before)?.keys.delete(name)
    if (after !== 0) this.#leases.get(after)?.keys.add(name)
  }

  /** Whether the lease is there and its time is up. */
  isExpired(id: LeaseId): boolean {
    const lease = this.#leases.get(id)
    return lease !== undefined && lease.expiresAt <= this.#deps.monotonic()
  }

  /** Leases whose time is up. */
  expired(): LeaseId[] {
    const now = this.#deps.monotonic()
    return [...this.#leases.values()].filter(({ expiresAt }) => expiresAt <= now).map(({ record }) => record.id)
  }

  /** What is left of the lease, if it has not been stored for `ageMs` or longer and its time is not up. */
  unstored(id: LeaseId, ageMs: number): LeaseRecord | undefined {
    const lease = this.#leases.get(id)
    const now = this.#deps.monotonic()
    if (lease === undefined || now - lease.putAt < ageMs || lease.expiresAt <= now) return undefined
    return { ...lease.record, remainingMs: lease.expiresAt - now }
  }

  /** Milliseconds until the next lease expires, undefined without leases. */
  nextExpiryMs(): number | undefined {
    let next = Infinity
    for (const { expiresAt } of this.#leases.values()) next = Math.min(next, expiresAt)
    return next === Infinity ? undefined : Math.max(0, next - this.#deps.monotonic())
  }
}
