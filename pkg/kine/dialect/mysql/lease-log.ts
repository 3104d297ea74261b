import type { LeaseChanges } from '#pkg/kine/dialect/dialect.ts'
import { readAlarms } from '#pkg/kine/dialect/mysql/alarms.ts'
import { integer, leaseId } from '#pkg/kine/dialect/mysql/row.ts'
import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'
import { LEASE_COLUMNS, leaseRecord } from '#pkg/kine/dialect/mysql/snapshot.ts'

const READ_MS = 7_000

/** See SharedLog.leasesAfter. @throws MysqlError */
export async function leasesAfter(session: Session, seq: number): Promise<LeaseChanges> {
  const changed = await read(session, 'l.seq > ?', [seq])
  const reset = seq < changed.prunedSeq
  const leases = reset ? await read(session, 'l.revoked = 0', []) : changed
  // Read after the number, so not older than it.
  return { ...leases, reset, alarms: await readAlarms(session) }
}

/** One statement, hence one moment: the figures of the head and the leases that belong to them. */
async function read(
  session: Session,
  condition: string,
  params: readonly number[],
): Promise<Omit<LeaseChanges, 'reset' | 'alarms'> & { readonly prunedSeq: number }> {
  const columns = `l.revoked,${LEASE_COLUMNS}`
  const sql = `SELECT m.lease_seq,m.lease_pruned_seq,${columns} FROM k0s_meta m LEFT JOIN k0s_lease l ON ${condition} WHERE m.id = 1`
  const rows = await session.execute(sql, params, READ_MS)
  return {
    seq: integer(rows[0]?.[0]),
    prunedSeq: integer(rows[0]?.[1]),
    changes: rows.filter((row) => row[2] !== null).map((row) => change(row)),
  }
}

function change(row: Row): LeaseChanges['changes'][number] {
  return row[2] === 1
    ? { id: leaseId(row[3]), record: undefined }
    : { id: leaseId(row[3]), record: leaseRecord(row, 3) }
}
