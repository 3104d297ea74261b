import type { AlarmMember } from '#pkg/kine/alarm/alarms.ts'
import type { LeaseRecord } from '#pkg/kine/backend.ts'
import type { AppendBatch, Head, NewRow } from '#pkg/kine/dialect/dialect.ts'
import { keyHash } from '#pkg/kine/dialect/mysql/key-hash.ts'

/** The clock of the database, milliseconds since the epoch. Sessions run in UTC. */
export const NOW_MS = 'CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)'

/** The lock on the head row is held from BEGIN to COMMIT. */
export interface AppendOptions {
  /** The transaction is open already. */
  readonly locked: boolean
  /** Most bytes of one text. */
  readonly maxBytes: number
}

/**
 * A batch as texts to be sent one after the other, nearly always one: the whole transaction in one round trip. The lock
 * is then held for as long as the server needs, not the network, and a client that dies in the middle leaves nothing
 * open. Prepared statements would need four round trips, and were slower even where those cost nothing.
 *
 * The compare-and-swap is an error: a column that must not be null is set to null unless the head is still the old one.
 * The server then runs nothing of what follows, and the caller rolls back.
 *
 * Values are literals with one character a byte, which is what the sessions speak (session.ts).
 */
export function appendTexts(batch: AppendBatch, { locked, maxBytes }: AppendOptions): readonly string[] {
  const texts: string[] = []
  let text = previousValuesSql(batch.rows) + (locked ? '' : 'BEGIN;') + swapSql(batch.after, batch.next)
  let separator = INSERT
  for (const row of batch.rows) {
    const tuple = rowSql(row)
    if (text.length + tuple.length + INSERT.length > maxBytes && separator === ',') {
      texts.push(text)
      text = ''
      separator = INSERT
    }
    text += (separator === INSERT && text !== '' ? ';' : '') + separator + tuple
    separator = ','
  }
  texts.push(`${text}${leasesSql(batch)}${alarmsSql(batch)};COMMIT`)
  return texts
}

const INSERT = 'INSERT INTO k0s_log(id,rev,key_hash,`key`,create_rev,version,lease,value_size,value)VALUES'

/** Outside the transaction: rows never change, and those of the head are not pruned. */
function previousValuesSql(rows: readonly NewRow[]): string {
  const ids = rows.map(({ previousId }) => previousId).filter((id) => id > 0)
  return ids.length === 0 ? '' : `SELECT id,value FROM k0s_log WHERE id IN(${ids.join(',')});`
}

/** `revision` comes first: MySQL assigns from left to right, and later terms would see what was assigned. */
function swapSql(after: Head, next: Head): string {
  const unchanged = `last_id=${after.lastId} AND revision=${after.revision} AND compact_rev=${after.compactRevision} AND lease_seq=${after.leaseSeq}`
  return (
    `UPDATE k0s_meta SET revision=IF(${unchanged},${next.revision},NULL),last_id=${next.lastId},` +
    `compact_rev=${next.compactRevision},lease_seq=${next.leaseSeq} WHERE id=1`
  )
}

function rowSql({ now, value }: NewRow): string {
  const { id, modRevision, key, createRevision, version, lease } = now
  return `(${id},${modRevision},${literal(keyHash(key))},${literal(key)},${createRevision},${version},${lease},${value.length},${literal(value)})`
}

/** Both kinds replace what is stored of the lease; a revoked one stays as a tombstone for those who follow. */
function leasesSql({ leases, revokedLeases, next }: AppendBatch): string {
  const tuples = [
    ...leases.map((lease) => leaseSql(lease, next.leaseSeq)),
    ...revokedLeases.map((id) => `(${id},0,${NOW_MS},${next.leaseSeq},1,${next.leaseSeq},0)`),
  ]
  return tuples.length === 0
    ? ''
    : `;REPLACE INTO k0s_lease(id,ttl_s,expires_at_ms,seq,revoked,rest_seq,rest_ms)VALUES${tuples.join(',')}`
}

function alarmsSql({ alarms }: AppendBatch): string {
  if (alarms === undefined) return ''
  const tuples = (members: readonly AlarmMember[]): string =>
    members.map(({ memberId, alarm }) => `(${memberId},${alarm})`).join(',')
  const raised = tuples(alarms.raised)
  const disarmed = tuples(alarms.disarmed)
  return (
    (raised === '' ? '' : `;INSERT IGNORE INTO k0s_alarm(member_id,type)VALUES${raised}`) +
    (disarmed === '' ? '' : `;DELETE FROM k0s_alarm WHERE (member_id,type) IN (${disarmed})`)
  )
}

function leaseSql({ id, ttlSeconds, remainingMs }: LeaseRecord, seq: number): string {
  const restMs = Math.ceil(remainingMs)
  return `(${id},${ttlSeconds},${NOW_MS}+${restMs},${seq},0,${seq},${restMs})`
}

/** The only bytes with a meaning inside quotes, in a single-byte character set. */
const SPECIAL = /['\\]/

/** Any bytes: as they are if possible, else in hexadecimal, which costs less time than putting backslashes in. */
export function literal(bytes: Buffer): string {
  const text = bytes.toString('latin1')
  return SPECIAL.test(text) ? `x'${bytes.toString('hex')}'` : `_binary'${text}'`
}
