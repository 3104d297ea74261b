import type { Backend } from '#pkg/kine/backend.ts'
import { AlarmedStore } from '#pkg/kine/server/alarmed-store.ts'
import { authMethods } from '#pkg/kine/server/auth.ts'
import { memberAdd, memberList, memberPromote, memberRemove, memberUpdate } from '#pkg/kine/server/cluster.ts'
import { compact } from '#pkg/kine/server/compact.ts'
import { deleteRange } from '#pkg/kine/server/delete-range.ts'
import type { Methods, UnaryHandler } from '#pkg/kine/server/grpc-server.ts'
import { leaseGrant, leaseLeases, leaseRevoke, leaseTimeToLive } from '#pkg/kine/server/lease.ts'
import { leaseKeepAlive } from '#pkg/kine/server/lease-keep-alive.ts'
import {
  alarm,
  defragment,
  downgrade,
  hash,
  hashKv,
  moveLeader,
  snapshot,
  status,
} from '#pkg/kine/server/maintenance.ts'
import { put } from '#pkg/kine/server/put.ts'
import { range } from '#pkg/kine/server/range.ts'
import type { StreamOpener } from '#pkg/kine/server/stream-handler.ts'
import { txn } from '#pkg/kine/server/txn.ts'
import { watch } from '#pkg/kine/server/watch.ts'
import { EventEncoder } from '#pkg/kine/server/watch-events.ts'
import type { WatchHub } from '#pkg/kine/watch/hub.ts'

/** What the methods serve. */
export interface MethodDeps {
  readonly store: Backend
  readonly hub: WatchHub
  /** Where clients reach this server, for MemberList. */
  readonly clientUrls: readonly string[]
  /** Size from which on `no space` is raised, for Status; 0: none. Default 0. */
  readonly quotaBytes?: number
}

/** The table of the etcd services; what is not in it is answered Unimplemented. */
export function etcdMethods({ store: unguarded, hub, clientUrls, quotaBytes = 0 }: MethodDeps): Methods {
  const store = new AlarmedStore(unguarded)
  const encoder = new EventEncoder()
  return {
    unary: new Map<string, UnaryHandler>([
      ['/etcdserverpb.KV/Range', (request) => range(store, request)],
      ['/etcdserverpb.KV/Put', (request) => put(store, request)],
      ['/etcdserverpb.KV/DeleteRange', (request) => deleteRange(store, request)],
      ['/etcdserverpb.KV/Txn', (request) => txn(store, request)],
      ['/etcdserverpb.KV/Compact', (request) => compact(store, request)],
      ['/etcdserverpb.Lease/LeaseGrant', (request) => leaseGrant(store, request)],
      ['/etcdserverpb.Lease/LeaseRevoke', (request) => leaseRevoke(store, request)],
      ['/etcdserverpb.Lease/LeaseTimeToLive', (request) => leaseTimeToLive(store, request)],
      ['/etcdserverpb.Lease/LeaseLeases', () => leaseLeases(store)],
      ['/etcdserverpb.Maintenance/Status', () => status(store, quotaBytes)],
      ['/etcdserverpb.Maintenance/Alarm', (request) => alarm(store, request)],
      ['/etcdserverpb.Maintenance/Defragment', () => defragment(store)],
      ['/etcdserverpb.Maintenance/Hash', () => hash(store)],
      ['/etcdserverpb.Maintenance/HashKV', (request) => hashKv(store, request)],
      ['/etcdserverpb.Maintenance/Snapshot', () => snapshot()],
      ['/etcdserverpb.Maintenance/MoveLeader', (request) => moveLeader(store, request)],
      ['/etcdserverpb.Maintenance/Downgrade', (request) => downgrade(request)],
      ['/etcdserverpb.Cluster/MemberList', () => memberList(store, clientUrls)],
      ['/etcdserverpb.Cluster/MemberAdd', () => memberAdd()],
      ['/etcdserverpb.Cluster/MemberRemove', (request) => memberRemove(store, request)],
      ['/etcdserverpb.Cluster/MemberUpdate', (request) => memberUpdate(store, request)],
      ['/etcdserverpb.Cluster/MemberPromote', (request) => memberPromote(store, request)],
      ...authMethods(store),
    ]),
    streams: new Map<string, StreamOpener>([
      ['/etcdserverpb.Watch/Watch', (call) => watch({ store, hub, encoder }, call)],
      ['/etcdserverpb.Lease/LeaseKeepAlive', (call, readOn) => leaseKeepAlive(store, call, readOn)],
    ]),
  }
}
