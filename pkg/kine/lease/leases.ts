import { randomInt } from 'node:crypto'
import type { LeaseId, LeaseRecord, Revision } from '#pkg/kine/backend.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { MAX_LEASE_TTL_SECONDS, MIN_LEASE_TTL_SECONDS } from '#pkg/kine/lease/lessor.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import type { Batch } from '#pkg/kine/writer/batch.ts'
import type { Writer } from '#pkg/kine/writer/writer.ts'

/** What Leases works with. */
export interface LeasesDeps {
  readonly writer: Pick<Writer, 'change'>
  readonly lessor: Pick<Lessor, 'isExpired' | 'unstored'>
}

/** Changes of leases, each a write like any other: decided on the newest state, durable before it is answered. */
export class Leases {
  readonly #deps: LeasesDeps

  constructor(deps: LeasesDeps) {
    this.#deps = deps
  }

  /** `id` 0 lets the store choose. @throws StoreError */
  grant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord> {
    if (ttlSeconds > MAX_LEASE_TTL_SECONDS) return Promise.reject(new StoreError('lease-ttl-too-large'))
    const granted = Math.max(ttlSeconds, MIN_LEASE_TTL_SECONDS)
    return this.#deps.writer.change((batch) => {
      const chosen = id === 0 ? freeId(batch) : id
      if (batch.hasLease(chosen)) throw new StoreError('lease-exists')
      const lease = { id: chosen, ttlSeconds: granted, remainingMs: granted * 1000 }
      batch.leases.set(chosen, lease)
      return lease
    })
  }

  /** Deletes the lease and its keys in one revision. @throws StoreError */
  revoke(id: LeaseId): Promise<Revision> {
    return this.#deps.writer.change((batch) => {
      if (!batch.hasLease(id)) throw new StoreError('lease-not-found')
      return revokeIn(batch, id)
    })
  }

  /** Full time to live again; undefined when there is no such lease. */
  keepAlive(id: LeaseId): Promise<LeaseRecord | undefined> {
    return this.#deps.writer.change((batch) => {
      const lease = batch.lease(id)
      if (lease === undefined) return undefined
      const renewed = { ...lease, remainingMs: lease.ttlSeconds * 1000 }
      batch.leases.set(id, renewed)
      return renewed
    })
  }

  /** Stores what is left of leases that have not been stored for `ageMs`, here or by another instance. */
  checkpoint(ids: readonly LeaseId[], ageMs: number): Promise<void> {
    return this.#deps.writer.change((batch) => {
      for (const id of ids) {
        const record = batch.leases.has(id) ? undefined : this.#deps.lessor.unstored(id, ageMs)
        if (record !== undefined) batch.leases.set(id, record)
      }
    })
  }

  /** Revokes the lease unless it has been renewed or revoked meanwhile, here or by another instance. */
  expire(id: LeaseId): Promise<void> {
    return this.#deps.writer.change((batch) => {
      // What this very batch did to the lease is not in the lessor yet.
      if (!batch.leases.has(id) && this.#deps.lessor.isExpired(id)) revokeIn(batch, id)
    })
  }
}

function revokeIn(batch: Batch, id: LeaseId): Revision {
  for (const version of batch.keysOfLease(id)) batch.delete(version)
  batch.leases.set(id, undefined)
  return batch.endRevision()
}

function freeId(batch: Batch): LeaseId {
  for (;;) {
    const id = randomInt(1, 2 ** 47)
    if (!batch.hasLease(id)) return id
  }
}
