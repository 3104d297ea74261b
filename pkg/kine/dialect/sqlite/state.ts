import { toAlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { AlarmMember } from '#pkg/kine/alarm/alarms.ts'
import type { StoredState } from '#pkg/kine/dialect/dialect.ts'
import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import { readLeases, toInt64 } from '#pkg/kine/dialect/sqlite/lease-table.ts'
import { ALARM_VERSION, getMeta, holdsLog, int64Column } from '#pkg/kine/dialect/sqlite/schema.ts'
import { UPSTREAM_ONLY } from '#pkg/kine/import/incomplete.ts'

/** What the database holds; reads only. */
export function readState(db: Connection): StoredState {
  if (!holdsLog(db)) return UPSTREAM_ONLY
  const last = db.rows<[], { id: number; rev: number }>('SELECT id, rev FROM log ORDER BY id DESC LIMIT 1').get()
  return {
    clusterId: getMeta(db, 'cluster_id'),
    memberId: getMeta(db, 'member_id'),
    revision: last?.rev ?? 1,
    lastId: last?.id ?? 0,
    compactRevision: getMeta(db, 'compact_rev'),
    prunedRevision: getMeta(db, 'pruned_rev'),
    leaseSeq: 0,
    leases: readLeases(db),
    alarms: readAlarms(db),
  }
}

function readAlarms(db: Connection): readonly AlarmMember[] {
  if (db.figure('user_version') < ALARM_VERSION) return []
  return db
    .rows<[], StoredAlarm>(`SELECT ${int64Column('member_id')} AS memberId, type FROM alarm`)
    .all()
    .flatMap(({ memberId, type }) => {
      const alarm = toAlarmType(type)
      return alarm === undefined ? [] : [{ memberId: toInt64(memberId), alarm }]
    })
}

interface StoredAlarm {
  readonly memberId: number | string
  readonly type: number
}
