import type { Backend } from '#pkg/kine/backend.ts'
import { compact } from '#pkg/kine/server/compact.ts'
import { deleteRange } from '#pkg/kine/server/delete-range.ts'
import type { Methods, StreamOpener, UnaryHandler } from '#pkg/kine/server/grpc-server.ts'
import { leaseGrant, leaseKeepAlive, leaseLeases, leaseRevoke, leaseTimeToLive } from '#pkg/kine/server/lease.ts'
import { alarm, defragment, snapshot, status } from '#pkg/kine/server/maintenance.ts'
import { memberList } from '#pkg/kine/server/member-list.ts'
import { put } from '#pkg/kine/server/put.ts'
import { range } from '#pkg/kine/server/range.ts'
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
}

/** The table of the etcd services; what is not in it is answered Unimplemented. */
export function etcdMethods({ store, hub, clientUrls }: MethodDeps): Methods {
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
      ['/etcdserverpb.Maintenance/Status', () => status(store)],
      ['/etcdserverpb.Maintenance/Alarm', () => alarm(store)],
      ['/etcdserverpb.Maintenance/Defragment', () => defragment(store)],
      ['/etcdserverpb.Maintenance/Snapshot', () => snapshot()],
      ['/etcdserverpb.Cluster/MemberList', () => memberList(store, clientUrls)],
    ]),
    streams: new Map<string, StreamOpener>([
      ['/etcdserverpb.Watch/Watch', (call) => watch({ store, hub, encoder }, call)],
      ['/etcdserverpb.Lease/LeaseKeepAlive', (call) => leaseKeepAlive(store, call)],
    ]),
  }
}
