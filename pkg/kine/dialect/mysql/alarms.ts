import { toAlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { AlarmMember } from '#pkg/kine/alarm/alarms.ts'
import { integer, leaseId } from '#pkg/kine/dialect/mysql/row.ts'
import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'

const READ_MS = 7_000

/** All alarms. @throws MysqlError */
export async function readAlarms(session: Session): Promise<readonly AlarmMember[]> {
  const rows = (await session.query('SELECT member_id,type FROM k0s_alarm', READ_MS)) as readonly Row[]
  return rows.flatMap(([memberId, type]) => {
    const alarm = toAlarmType(integer(type))
    return alarm === undefined ? [] : [{ memberId: leaseId(memberId), alarm }]
  })
}
