import type { Key, KeyVersion, LeaseRecord, LeaseState } from '#pkg/kine/backend.ts'
import { identity } from '#pkg/kine/keys.ts'

/** etcd's limit for LeaseGrantRequest.TTL, seconds. */
export const MAX_LEASE_TTL_SECONDS = 9_000_000_000

/** etcd's shortest lease with its default election timeout (1 s): ceil(3/2 of ten heartbeats), seconds. */
export const MIN_LEASE_TTL_SECONDS = 2

interface Lease {
  record: LeaseRecord
  /** On the monotonic clock, so that a step of the wall clock neither expires nor prolongs it. */
  expiresAt: number
  /** Keys by their bytes as latin1 text, an exact mapping that only serves as identity. */
  readonly keys: Map<string, Key>
}

/** What Lessor needs of its surroundings. */
export interface LessorDeps {
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number
  /** Monotonic clock, milliseconds. */
  readonly monotonic: () => number
}

/**
 * Leases and the keys attached to them, in memory. Only apply.ts changes it, with what has been committed. The stored
 * expiry is absolute: a restart neither forgets nor extends a lease.
 */
export class Lessor {
  readonly #leases = new Map<number, Lease>()
  readonly #deps: LessorDeps

  constructor(deps: LessorDeps) {
    this.#deps = deps
  }

  has(id: number): boolean {
    return this.#leases.has(id)
  }

  record(id: number): LeaseRecord | undefined {
    return this.#leases.get(id)?.record
  }

  ids(): number[] {
    return [...this.#leases.keys()]
  }

  keys(id: number): readonly Key[] {
    return [...(this.#leases.get(id)?.keys.values() ?? [])]
  }

  state(id: number): LeaseState | undefined {
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

  /** Adds a lease or takes over its new expiry. */
  put(record: LeaseRecord): void {
    const remainingMs = Math.min(record.expiresAtMs - this.#deps.now(), record.ttlSeconds * 1000)
    const expiresAt = this.#deps.monotonic() + Math.max(0, remainingMs)
    const lease = this.#leases.get(record.id)
    if (lease === undefined) this.#leases.set(record.id, { record, expiresAt, keys: new Map() })
    else Object.assign(lease, { record, expiresAt })
  }

  drop(id: number): void {
    this.#leases.delete(id)
  }

  /** Moves a key from the lease of its old version to that of its new one. */
  moveKey(previous: KeyVersion | undefined, now: KeyVersion): void {
    const before = previous?.lease ?? 0
    const after = now.version === 0 ? 0 : now.lease
    if (before === after) return
    const name = identity(now.key)
    if (before !== 0) this.#leases.get(before)?.keys.delete(name)
    if (after !== 0) this.#leases.get(after)?.keys.set(name, now.key)
  }

  /** Leases whose time is up. */
  expired(): number[] {
    const now = this.#deps.monotonic()
    return [...this.#leases.values()].filter(({ expiresAt }) => expiresAt <= now).map(({ record }) => record.id)
  }

  /** Milliseconds until the next lease expires, undefined without leases. */
  nextExpiryMs(): number | undefined {
    let next = Infinity
    for (const { expiresAt } of this.#leases.values()) next = Math.min(next, expiresAt)
    return next === Infinity ? undefined : Math.max(0, next - this.#deps.monotonic())
  }
}
