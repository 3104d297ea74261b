import type { Backend, LeaseId } from '#pkg/kine/backend.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { GrpcCode, GrpcError } from '#pkg/kine/server/status.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/** Cluster.MemberList: this one member, under the addresses that it listens on. */
export function memberList(store: Backend, clientUrls: readonly string[]): Promise<Buffer> {
  const member = new WireWriter().int(1, store.memberId).string(2, 'kine')
  for (const url of clientUrls) member.string(4, url)
  const response = new WireWriter().message(1, encodeHeader(store, store.revision)).message(2, member.finish())
  return Promise.resolve(response.finish())
}

/** Cluster.MemberAdd: several instances share a database without knowing of each other. */
export function memberAdd(): Promise<Buffer> {
  return Promise.reject(membersAreNotManaged())
}

/** Cluster.MemberRemove: refused in the words of etcd, which does not remove its last member either. */
export function memberRemove(store: Backend, request: Buffer): Promise<Buffer> {
  if (memberOf(request) !== store.memberId) return Promise.reject(memberNotFound())
  const text = 'etcdserver: re-configuration failed due to not enough started members'
  return Promise.reject(new GrpcError(GrpcCode.unknown, text))
}

/** Cluster.MemberUpdate */
export function memberUpdate(store: Backend, request: Buffer): Promise<Buffer> {
  return Promise.reject(memberOf(request) === store.memberId ? membersAreNotManaged() : memberNotFound())
}

/** Cluster.MemberPromote: there are no learners. */
export function memberPromote(store: Backend, request: Buffer): Promise<Buffer> {
  if (memberOf(request) !== store.memberId) return Promise.reject(memberNotFound())
  const text = 'etcdserver: can only promote a learner member'
  return Promise.reject(new GrpcError(GrpcCode.failedPrecondition, text))
}

function memberOf(request: Buffer): LeaseId {
  const reader = new WireReader(request)
  let id: LeaseId = 0
  while (reader.next()) {
    if (reader.field === 1) id = reader.int64()
    else reader.skip()
  }
  return id
}

function memberNotFound(): GrpcError {
  return new GrpcError(GrpcCode.notFound, 'etcdserver: member not found')
}

function membersAreNotManaged(): GrpcError {
  return new GrpcError(
    GrpcCode.unimplemented,
    'etcdserver: kine does not manage members; start another instance on the same database instead',
  )
}
