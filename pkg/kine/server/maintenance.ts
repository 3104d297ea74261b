import type { Backend } from '#pkg/kine/backend.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { GrpcCode, GrpcError } from '#pkg/kine/server/status.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/**
 * The etcd release whose behaviour this server has. The API server parses it as a semantic version to decide on
 * progress requests; 3.7 would promise RangeStream.
 */
export const EMULATED_VERSION = '3.6.8'

/** Maintenance.Status */
export async function status(store: Backend): Promise<Buffer> {
  const { memberId, revision, sizeBytes, sizeInUseBytes } = await store.status()
  return new WireWriter(128)
    .message(1, encodeHeader(store, revision))
    .string(2, EMULATED_VERSION)
    .int(3, sizeBytes)
    .int(4, memberId)
    .int(5, revision)
    .int(6, 1)
    .int(7, revision)
    .int(9, sizeInUseBytes)
    .finish()
}

/** Maintenance.Alarm: there is never one, so listing and disarming find nothing. */
export function alarm(store: Backend): Promise<Buffer> {
  return Promise.resolve(new WireWriter().message(1, encodeHeader(store, store.revision)).finish())
}

/** Maintenance.Defragment */
export async function defragment(store: Backend): Promise<Buffer> {
  await store.defragment()
  return new WireWriter().message(1, encodeHeader(store, store.revision)).finish()
}

/** Maintenance.Snapshot would be a bbolt file, which this store does not have. */
export function snapshot(): Promise<Buffer> {
  return Promise.reject(
    new GrpcError(GrpcCode.unimplemented, 'etcdserver: snapshot is not supported by kine; use `k0s backup`'),
  )
}
