import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { Alarms } from '#pkg/kine/alarm/alarms.ts'
import { EMULATED_VERSION } from '#pkg/kine/server/maintenance.ts'
import { single } from '#pkg/kine/metrics/exposition.ts'
import type { Family } from '#pkg/kine/metrics/exposition.ts'
import type { StoreCounters } from '#pkg/kine/metrics/store-counters.ts'

/** Figures read when somebody asks. */
export interface Gauges {
  /** Undefined while the database does not answer. */
  readonly size: { readonly bytes: number; readonly inUseBytes: number } | undefined
  readonly memberId: number
  readonly revision: number
  readonly compactRevision: number
  readonly keys: number
  readonly watchStreams: number
  readonly watchers: number
  readonly slowWatchers: number
  readonly eventsSent: number
  readonly sessions: number
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly ringBytes: number
  /** 0: there is none. */
  readonly quotaBytes: number
}

/** What etcd tells about its server, its storage and its leases; the help texts say where ours is something else. */
export function storeFamilies(
  gauges: Gauges,
  counters: StoreCounters,
  alarms: Pick<Alarms, 'list'>,
): readonly Family[] {
  return [
    ...serverFamilies(gauges, counters, alarms),
    ...storageFamilies(gauges, counters),
    ...watchFamilies(gauges),
    ...leaseFamilies(counters),
    single('counter', 'etcd_network_client_grpc_received_bytes_total', 'Bytes from clients.', gauges.receivedBytes),
    single('counter', 'etcd_network_client_grpc_sent_bytes_total', 'Bytes to clients.', gauges.sentBytes),
    single('gauge', 'kine_grpc_sessions', 'Connections of clients.', gauges.sessions),
    single('gauge', 'kine_ring_bytes', 'Memory that recent changes take.', gauges.ringBytes),
  ]
}

function serverFamilies(gauges: Gauges, counters: StoreCounters, alarms: Pick<Alarms, 'list'>): readonly Family[] {
  const { quotaBytes } = gauges
  const answers = gauges.size === undefined ? 0 : 1
  const member = gauges.memberId.toString(16)
  return [
    single('gauge', 'etcd_server_has_leader', 'Whether the database answers: 1 if so, else 0.', answers),
    single('gauge', 'etcd_server_is_leader', 'The same: every instance writes by itself.', answers),
    single('counter', 'etcd_server_leader_changes_seen_total', 'Always 0: there are no elections.', 0),
    single(
      'gauge',
      'etcd_server_proposals_committed_total',
      'Writes of clients that were committed.',
      counters.committed,
    ),
    single(
      'gauge',
      'etcd_server_proposals_applied_total',
      'The same: a commit is visible at once.',
      counters.committed,
    ),
    single('gauge', 'etcd_server_proposals_pending', 'Writes of clients that are under way.', counters.pending),
    single('counter', 'etcd_server_proposals_failed_total', 'Writes that the database did not take.', counters.failed),
    single(
      'counter',
      'etcd_server_slow_apply_total',
      'Requests that took longer than the threshold.',
      counters.slowRequests,
    ),
    single('counter', 'etcd_server_health_success', 'Health checks that were passed.', counters.healthChecksPassed),
    single('counter', 'etcd_server_health_failures', 'Health checks that failed.', counters.healthChecksFailed),
    labelled('etcd_server_id', 'The member id that clients are told, hexadecimal.', { server_id: member }),
    labelled('etcd_server_version', 'The etcd release whose behaviour this is.', { server_version: EMULATED_VERSION }),
    // Without a quota the line is missing, or a share of it would be infinite.
    ...(quotaBytes > 0
      ? [single('gauge', 'etcd_server_quota_backend_bytes', 'Size from which on writes are refused.', quotaBytes)]
      : []),
    {
      name: 'etcd_debugging_server_alarms',
      type: 'gauge',
      help: 'Alarms that are raised.',
      samples: alarms.list().map(({ memberId, alarm }) => ({
        labels: { alarm_type: alarm === AlarmType.noSpace ? 'NOSPACE' : 'CORRUPT', server_id: memberId.toString(16) },
        value: 1,
      })),
    },
  ]
}

function storageFamilies(gauges: Gauges, counters: StoreCounters): readonly Family[] {
  const { size } = gauges
  const both = (name: string, help: string, value: number): readonly Family[] => [
    single('counter', `etcd_mvcc_${name}`, help, value),
    // As it was called up to etcd 3.5, for older dashboards.
    single('counter', `etcd_debugging_mvcc_${name}`, help, value),
  ]
  return [
    ...(size === undefined
      ? []
      : [
          single('gauge', 'etcd_mvcc_db_total_size_in_bytes', 'Space that the database has allocated.', size.bytes),
          single('gauge', 'etcd_mvcc_db_total_size_in_use_in_bytes', 'Space that is in use of it.', size.inUseBytes),
        ]),
    ...both('range_total', 'Ranges that were read.', counters.ranges),
    ...both('put_total', 'Puts that were done.', counters.puts),
    ...both('delete_total', 'Deletions that were done.', counters.deletes),
    ...both('txn_total', 'Transactions of more than one operation.', counters.txns),
    single('gauge', 'etcd_debugging_mvcc_keys_total', 'Keys in the store.', gauges.keys),
    single('gauge', 'etcd_debugging_mvcc_total_put_size_in_bytes', 'Keys and values of all puts.', counters.putBytes),
    single('gauge', 'etcd_debugging_mvcc_current_revision', 'Revision of the store.', gauges.revision),
    single('gauge', 'etcd_debugging_mvcc_compact_revision', 'Revision of the last compaction.', gauges.compactRevision),
  ]
}

function watchFamilies(gauges: Gauges): readonly Family[] {
  return [
    single('gauge', 'etcd_debugging_mvcc_watch_stream_total', 'Watch streams.', gauges.watchStreams),
    single('gauge', 'etcd_debugging_mvcc_watcher_total', 'Watches.', gauges.watchers),
    single('gauge', 'etcd_debugging_mvcc_slow_watcher_total', 'Watches that are behind.', gauges.slowWatchers),
    single('counter', 'etcd_debugging_mvcc_events_total', 'Events that were sent to watches.', gauges.eventsSent),
  ]
}

function leaseFamilies(counters: StoreCounters): readonly Family[] {
  return [
    single(
      'counter',
      'etcd_debugging_lease_granted_total',
      'Leases that clients were granted.',
      counters.leasesGranted,
    ),
    single('counter', 'etcd_debugging_lease_revoked_total', 'Leases that were revoked here.', counters.leasesRevoked),
    single('counter', 'etcd_debugging_lease_renewed_total', 'Renewals of leases.', counters.leasesRenewed),
    single(
      'counter',
      'etcd_debugging_server_lease_expired_total',
      'Of the revoked ones, expired.',
      counters.leasesExpired,
    ),
    {
      name: 'etcd_debugging_lease_ttl_total',
      type: 'histogram',
      help: 'Times to live of the leases that were granted, in seconds.',
      samples: counters.leaseTtls.samples(),
    },
  ]
}

/** What is told in the label; the value means nothing. */
function labelled(name: string, help: string, labels: Readonly<Record<string, string>>): Family {
  return { name, type: 'gauge', help, samples: [{ labels, value: 1 }] }
}
