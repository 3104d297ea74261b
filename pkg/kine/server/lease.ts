import type { Backend, LeaseId } from '#pkg/kine/backend.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/** Lease.LeaseGrant */
export async function leaseGrant(store: Backend, request: Buffer): Promise<Buffer> {
  const { first: ttl, second: id } = decodeTwo(request)
  // Of more than 2^53 seconds the last digits do not matter: it is out of bounds.
  const { id: granted, ttlSeconds } = await store.leaseGrant(id, Number(ttl))
  return new WireWriter().message(1, encodeHeader(store, store.revision)).int(2, granted).int(3, ttlSeconds).finish()
}

/** Lease.LeaseRevoke */
export async function leaseRevoke(store: Backend, request: Buffer): Promise<Buffer> {
  const revision = await store.leaseRevoke(decodeTwo(request).first)
  return new WireWriter().message(1, encodeHeader(store, revision)).finish()
}

/** Lease.LeaseTimeToLive; TTL -1 if there is no such lease. */
export async function leaseTimeToLive(store: Backend, request: Buffer): Promise<Buffer> {
  const { first: id, second: keysWanted } = decodeTwo(request)
  const state = await store.leaseTimeToLive(id)
  const writer = new WireWriter().message(1, encodeHeader(store, store.revision)).int(2, id)
  writer.int(3, state?.remainingSeconds ?? -1).int(4, state?.ttlSeconds ?? 0)
  if (keysWanted !== 0) for (const key of state?.keys ?? []) writer.message(5, key)
  return writer.finish()
}

/** Lease.LeaseLeases */
export async function leaseLeases(store: Backend): Promise<Buffer> {
  const leases = await store.leases()
  const writer = new WireWriter().message(1, encodeHeader(store, store.revision))
  for (const id of leases) writer.message(2, new WireWriter(16).int(1, id).finish())
  return writer.finish()
}

/** All requests of this service have one or two integers. */
function decodeTwo(request: Buffer): { readonly first: LeaseId; readonly second: LeaseId } {
  const reader = new WireReader(request)
  let first: LeaseId = 0
  let second: LeaseId = 0
  while (reader.next()) {
    if (reader.field === 1) first = reader.int64()
    else if (reader.field === 2) second = reader.int64()
    else reader.skip()
  }
  return { first, second }
}
