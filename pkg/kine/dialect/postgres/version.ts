import { toAlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { AlarmMember } from '#pkg/kine/alarm/alarms.ts'
import type { KeyVersion, Revision } from '#pkg/kine/backend.ts'
import type { Head } from '#pkg/kine/dialect/dialect.ts'
import type { Row } from '#pkg/kine/dialect/postgres/row.ts'
import { canonicalInt64 } from '#pkg/kine/wire/int64.ts'

/** The columns `HEAD` of statements.ts. */
export function readHead(row: Row): Head {
  return { revision: row.number(), lastId: row.number(), compactRevision: row.number(), leaseSeq: row.number() }
}

/** The columns `version` of statements.ts, with a key of its own. */
export function readVersion(row: Row): KeyVersion {
  return versionAt(row.number(), row)
}

/** The columns behind the first, which was the id. */
export function versionAt(id: number, row: Row): KeyVersion {
  const modRevision: Revision = row.number()
  const createRevision: Revision = row.number()
  const version = row.number()
  const lease = row.lease()
  return { id, modRevision, createRevision, version, lease, key: row.ownBytes(), valueSize: row.number() }
}

/** The column `ALARM_LIST` of statements.ts. */
export function readAlarms(row: Row): readonly AlarmMember[] {
  const text = row.text()
  if (text === '') return []
  return text.split(',').flatMap((entry) => {
    const [memberId = '', type] = entry.split(':')
    const alarm = toAlarmType(Number(type))
    return alarm === undefined ? [] : [{ memberId: canonicalInt64(memberId), alarm }]
  })
}
