import type { LeaseId, LeaseRecord } from '#pkg/kine/backend.ts'
import type { StoreContents } from '#pkg/datastore/store.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'
import { canonicalInt64 } from '#pkg/kine/wire/int64.ts'

/*
 * How changes cross the pipe to and from embedded-bins/etcd/etcd (frames.go), all numbers little endian: revision, number
 * within it, create revision, version, lease as int64, lengths of key and value as uint32, key, value.
 */

const HEAD_BYTES = 5 * 8 + 2 * 4
/** In place of a revision: there are no more changes. */
const END = 0n
/** In place of a revision: make durable and acknowledge what came so far. */
const COMMIT = -1n

/** A change and its number within its revision. */
export interface EtcdChange extends StoredChange {
  readonly sub: number
}

/** The changes as one buffer, followed by the mark that has them committed. */
export function encodeBatch(changes: readonly EtcdChange[]): Buffer {
  const sizes = changes.map(({ key, value }) => HEAD_BYTES + key.length + value.length)
  const batch = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + size, 8))
  let at = 0
  for (const [i, change] of changes.entries()) {
    encodeChange(change, batch, at)
    at += sizes[i] ?? 0
  }
  batch.writeBigInt64LE(COMMIT, at)
  return batch
}

/** What ends a load: the mark, and what a store holds besides changes. */
export function encodeEnd(contents: StoreContents): Buffer {
  const mark = Buffer.alloc(8)
  mark.writeBigInt64LE(END)
  const leases = contents.leases.map(({ id, ttlSeconds, remainingMs }) => ({
    id: String(id),
    ttlSeconds,
    remainingSeconds: Math.max(1, Math.ceil(remainingMs / 1000)),
  }))
  return Buffer.concat([mark, Buffer.from(`${JSON.stringify({ ...contents, leases })}\n`)])
}

/** Leases as the program prints them. */
export function decodeLease(lease: {
  readonly id: string
  readonly ttlSeconds: number
  readonly remainingSeconds: number
}): LeaseRecord {
  const { id, ttlSeconds, remainingSeconds } = lease
  return { id: canonicalInt64(id), ttlSeconds, remainingMs: remainingSeconds * 1000 }
}

/** Takes a stream of chunks apart; yields the changes of each chunk. @throws Error if the stream ends before its end mark */
export async function* decodeChanges(chunks: AsyncIterable<Buffer>): AsyncGenerator<readonly EtcdChange[]> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const changes: EtcdChange[] = []
    let at = 0
    for (;;) {
      if (rest.length - at >= 8 && rest.readBigInt64LE(at) === END) {
        if (changes.length > 0) yield changes
        return
      }
      const size = sizeAt(rest, at)
      if (size === undefined) break
      changes.push(decodeChange(rest.subarray(at, at + size)))
      at += size
    }
    rest = rest.subarray(at)
    if (changes.length > 0) yield changes
  }
  throw new Error('the changes end in the middle')
}

function encodeChange(change: EtcdChange, into: Buffer, start: number): void {
  const { revision, sub, createRevision, version, lease, key, value } = change
  let at = start
  for (const number of [revision, sub, createRevision, version, lease]) {
    at = into.writeBigInt64LE(BigInt(number), at)
  }
  at = into.writeUInt32LE(key.length, at)
  at = into.writeUInt32LE(value.length, at)
  at += key.copy(into, at)
  value.copy(into, at)
}

/** Bytes of the change that begins at `at`; undefined while not all of it is there. */
function sizeAt(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < HEAD_BYTES) return undefined
  const size = HEAD_BYTES + bytes.readUInt32LE(at + 40) + bytes.readUInt32LE(at + 44)
  return bytes.length - at < size ? undefined : size
}

function decodeChange(bytes: Buffer): EtcdChange {
  const keyEnd = HEAD_BYTES + bytes.readUInt32LE(40)
  const lease: LeaseId = canonicalInt64(bytes.readBigInt64LE(32))
  return {
    revision: Number(bytes.readBigInt64LE(0)),
    sub: Number(bytes.readBigInt64LE(8)),
    createRevision: Number(bytes.readBigInt64LE(16)),
    version: Number(bytes.readBigInt64LE(24)),
    lease,
    key: bytes.subarray(HEAD_BYTES, keyEnd),
    value: bytes.subarray(keyEnd),
  }
}
