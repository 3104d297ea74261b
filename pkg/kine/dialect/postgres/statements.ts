import type { Statement } from '#pkg/kine/dialect/postgres/connection.ts'
import { oid } from '#pkg/kine/dialect/postgres/message-writer.ts'

/** Milliseconds since the epoch by the clock of the database. */
const NOW_MS = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint'
/** Hash of a key. */
const hash = (key: string): string => `substring(sha256(${key}) FROM 1 FOR 16)`
/** Columns of a version, in the order of readVersion(). */
const version = (table: string): string =>
  `${table}.id, ${table}.rev, ${table}.create_rev, ${table}.version, ${table}.lease, ${table}.key, octet_length(${table}.value)::bigint`
const HEAD = 'revision, last_id, compact_rev, lease_seq'
const { bytea, byteas, int8, int8s, text } = oid

function statement(name: string, types: readonly number[], sql: string): Statement {
  return { name, sql, types }
}

/** Milliseconds that a lease had left when it was last changed; a renewal by a program that did not keep that: all. */
const REST_MS = 'CASE WHEN l.rest_seq = l.seq THEN l.rest_ms ELSE l.ttl_s * 1000 END'

/** The head and, with each lease again, everything else a store starts with. */
const state = (name: string, restMs: string): Statement =>
  statement(
    name,
    [],
    `SELECT ${HEAD}, cluster_id, member_id, pruned_rev, l.id, l.ttl_s, ${restMs}
     FROM k0s_meta LEFT JOIN k0s_lease l ON NOT l.revoked WHERE one`,
  )

export const STATE = state('state', REST_MS)
/** Of a database with layout 2 or before, which is only read. */
export const OLD_STATE = state('old_state', 'l.ttl_s * 1000')

/** The alarms as text, `member:type,member:type`. */
const ALARM_LIST = "(SELECT coalesce(string_agg(member_id || ':' || type, ','), '') FROM k0s_alarm)"

export const ALARMS = statement('alarms', [], `SELECT ${ALARM_LIST}`)

export const READ_HEAD = statement('head', [], `SELECT ${HEAD} FROM k0s_meta WHERE one`)

/** Waits for whoever commits. */
export const LOCK_HEAD = statement('lock', [], `SELECT ${HEAD} FROM k0s_meta WHERE one FOR NO KEY UPDATE`)

/**
 * A commit in one statement, hence one round trip and one transaction: moves the head if it is still the one expected
 * ($1 to $4), writes the rows, asks for the previous values, notifies ($9 channel, $10 revision). No row comes back if the
 * head was another one; else a first row without value, then the previous values.
 *
 * The update waits for a commit of another instance and then looks at the head that this one made, as READ COMMITTED does.
 * set_config: a commit must be durable whatever the database or a pooler sets; remote_apply is more than durable.
 */
function append(name: string, withLeases: boolean, withAlarms = false): Statement {
  const leases = `, leases AS (
    INSERT INTO k0s_lease (id, ttl_s, expires_at_ms, seq, revoked, rest_seq, rest_ms)
    SELECT l.id, l.ttl_s, ${NOW_MS} + l.remaining_ms, $8, l.ttl_s = 0, $8, l.remaining_ms
    FROM head, unnest($19, $20, $21) AS l (id, ttl_s, remaining_ms)
    ON CONFLICT (id) DO UPDATE
    SET ttl_s = excluded.ttl_s, expires_at_ms = excluded.expires_at_ms, seq = excluded.seq,
      revoked = excluded.revoked, rest_seq = excluded.rest_seq, rest_ms = excluded.rest_ms)`
  const alarms = `, raised AS (
    INSERT INTO k0s_alarm (member_id, type) SELECT a.member_id, a.type FROM head, unnest($22, $23) AS a (member_id, type)
    ON CONFLICT DO NOTHING),
    disarmed AS (
    DELETE FROM k0s_alarm USING head, unnest($24, $25) AS a (member_id, type)
    WHERE k0s_alarm.member_id = a.member_id AND k0s_alarm.type = a.type)`
  const types = [int8, int8, int8, int8, int8, int8, int8, int8, text, text]
  const rowTypes = [int8s, int8s, int8s, int8s, int8s, byteas, byteas, int8s]
  const leaseTypes = withLeases ? [int8s, int8s, int8s] : []
  const alarmTypes = withAlarms ? [int8s, int8s, int8s, int8s] : []
  return statement(
    name,
    [...types, ...rowTypes, ...leaseTypes, ...alarmTypes],
    `WITH head AS (
      UPDATE k0s_meta SET revision = $5, last_id = $6, compact_rev = $7, lease_seq = $8
      WHERE one AND revision = $1 AND last_id = $2 AND compact_rev = $3 AND lease_seq = $4
      RETURNING CASE WHEN current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
        THEN set_config('synchronous_commit', 'on', true) END AS durable),
    log AS (
      INSERT INTO k0s_log (id, rev, create_rev, version, lease, key_hash, key, value)
      SELECT r.id, r.rev, r.create_rev, r.version, r.lease, ${hash('r.key')}, r.key, r.value
      FROM head, unnest($11, $12, $13, $14, $15, $16, $17) AS r (id, rev, create_rev, version, lease, key, value))
    ${withLeases ? leases : ''}
    ${withAlarms ? alarms : ''}
    SELECT 0::bigint, NULL::bytea, durable, pg_notify($9, $10)::text FROM head
    UNION ALL
    SELECT p.id, p.value, NULL, NULL FROM head, k0s_log p WHERE p.id = ANY ($18)`,
  )
}

export const APPEND = append('append', false)
/** With granted, renewed and revoked leases: the latter have a time to live of 0. */
export const APPEND_LEASES = append('append_leases', true)
/** With alarms that are raised or disarmed, and leases. */
export const APPEND_ALARMS = append('append_alarms', true, true)

/** Newest version of each key, in the order of the hashes: pages need an order, not that of the keys. */
const newestOfEach = (where: string): string =>
  `SELECT DISTINCT ON (l.key_hash) ${version('l')} FROM k0s_log l ${where} ORDER BY l.key_hash, l.id DESC LIMIT $1`
export const INDEX_FIRST = statement('index_first', [int8], newestOfEach(''))
export const INDEX_AFTER = statement('index_after', [int8, bytea], newestOfEach(`WHERE l.key_hash > ${hash('$2')}`))

export const VALUES = statement('values', [int8s], 'SELECT id, value FROM k0s_log WHERE id = ANY ($1)')

/** First the revision that pruning has begun at; then the position of each key in the request with its version. */
export const VERSIONS = statement(
  'versions',
  [byteas, int8],
  `SELECT NULL::bigint, pruning_rev, 0::bigint, 0::bigint, 0::bigint, 0::bigint, ''::bytea, 0::bigint FROM k0s_meta WHERE one
   UNION ALL
   SELECT k.position, v.* FROM unnest($1) WITH ORDINALITY AS k (key, position) CROSS JOIN LATERAL (
     SELECT ${version('l')} FROM k0s_log l WHERE l.key_hash = ${hash('k.key')} AND l.rev <= $2
     ORDER BY l.key_hash, l.id DESC LIMIT 1) v`,
)

/**
 * Rows from id $1 on of revisions $2 to $3, at most $4 of them and of whole revisions, ending with the one that exceeds
 * $5 bytes; of these those in the range $6 to $7 (empty: no end). Before them a row with the revision that pruning has
 * begun at, the rows looked at, the last revision among them, and the first and last revision that are left.
 */
function log(name: string, withPrevious: boolean): Statement {
  const previous = `LEFT JOIN LATERAL (
      SELECT * FROM k0s_log b WHERE b.key_hash = p.key_hash AND b.id < p.id AND b.rev < p.rev
        AND NOT (p.version > 0 AND p.create_rev = p.rev)
      ORDER BY b.key_hash, b.id DESC LIMIT 1) b ON true`
  const none = 'NULL::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, NULL::bytea, 0::bigint, NULL::bytea'
  return statement(
    name,
    [int8, int8, int8, int8, int8, bytea, bytea],
    `WITH looked AS MATERIALIZED (
      SELECT *, sum(octet_length(value)) OVER (ORDER BY rev) - sum(octet_length(value)) OVER (PARTITION BY rev) AS before
      FROM (SELECT * FROM k0s_log WHERE id >= $1 AND rev >= $2 AND rev <= $3 ORDER BY id LIMIT $4) l)
    SELECT pruning_rev, (SELECT count(*) FROM looked), (SELECT coalesce(max(rev), 0) FROM looked),
      (SELECT coalesce(min(rev), 0) FROM looked), (SELECT coalesce(max(rev), 0) FROM looked WHERE before <= $5),
      NULL::bytea, 0::bigint, NULL::bytea, ${none} FROM k0s_meta WHERE one
    UNION ALL
    (SELECT ${version('p')}, p.value, ${withPrevious ? `${version('b')}, b.value` : none}
     FROM looked p ${withPrevious ? previous : ''}
     WHERE p.before <= $5 AND p.key >= $6 AND (p.key < $7 OR $7 = '') ORDER BY p.id)`,
  )
}

export const LOG = log('log', false)
export const LOG_WITH_PREVIOUS = log('log_previous', true)

/** First the sequence number, whether the list is complete (0 or 1), and the alarms; then the leases changed after $1, or all. */
export const LEASES_AFTER = statement(
  'leases',
  [int8],
  `SELECT NULL::bigint, lease_seq, (lease_pruned_seq > $1)::int::bigint, ${ALARM_LIST} FROM k0s_meta WHERE one
   UNION ALL
   SELECT l.id, CASE WHEN l.revoked THEN 0 ELSE l.ttl_s END, ${REST_MS}, NULL
   FROM k0s_meta m, k0s_lease l WHERE m.one AND m.lease_pruned_seq <= $1 AND l.seq > $1
   UNION ALL
   SELECT l.id, l.ttl_s, ${REST_MS}, NULL
   FROM k0s_meta m, k0s_lease l WHERE m.one AND m.lease_pruned_seq > $1 AND NOT l.revoked`,
)

export const NOTIFY = statement('notify', [text, text], 'SELECT pg_notify($1, $2)')
