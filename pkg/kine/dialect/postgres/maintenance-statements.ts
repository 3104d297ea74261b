import type { Statement } from '#pkg/kine/dialect/postgres/connection.ts'
import { oid } from '#pkg/kine/dialect/postgres/message-writer.ts'

const { int8 } = oid

/** Revisions that pruning has begun and ended at. */
export const PRUNE_STATE: Statement = {
  name: 'prune_state',
  sql: 'SELECT pruning_rev, pruned_rev FROM k0s_meta WHERE one',
  types: [],
}

/** Recorded before the first row goes: whoever reads the log finds out from then on. */
export const PRUNE_BEGIN: Statement = {
  name: 'prune_begin',
  sql: 'UPDATE k0s_meta SET pruning_rev = $1 WHERE one AND pruning_rev < $1',
  types: [int8],
}

/**
 * One slice: of the $3 rows after id $2, those up to revision $4 drop what they have superseded, and themselves if they
 * are tombstones; the tombstone of $4 itself stays, since a watch may still start there. One instance at a time, by
 * the lock $1, which ends with the statement. Losing deletions in a crash is harmless, so it does not wait for the disk.
 *
 * Comes back: whether the lock was free, rows deleted, last id, rows of the slice, rows of it up to $4.
 */
export const PRUNE_SLICE: Statement = {
  name: 'prune_slice',
  sql: `WITH guard AS MATERIALIZED (
      SELECT pg_try_advisory_xact_lock($1) AS free, set_config('synchronous_commit', 'off', true)),
    slice AS MATERIALIZED (
      SELECT s.* FROM guard CROSS JOIN LATERAL (
        SELECT id, rev, key_hash, version FROM k0s_log WHERE guard.free AND id > $2 ORDER BY id LIMIT $3) s),
    due AS MATERIALIZED (SELECT * FROM slice WHERE rev <= $4),
    superseded AS (
      SELECT o.id FROM due d JOIN k0s_log o ON o.key_hash = d.key_hash AND o.id < d.id
      UNION
      SELECT id FROM due WHERE version = 0 AND rev < $4),
    deleted AS (DELETE FROM k0s_log WHERE id IN (SELECT id FROM superseded) RETURNING 1)
    SELECT free, (SELECT count(*) FROM deleted), (SELECT max(id) FROM due),
      (SELECT count(*) FROM slice), (SELECT count(*) FROM due) FROM guard`,
  types: [int8, int8, int8, int8],
}

/** Records that pruning at $1 has ended; leases revoked longer ago than $2 milliseconds are forgotten at last. */
export const PRUNE_END: Statement = {
  name: 'prune_end',
  sql: `WITH forgotten AS (
      DELETE FROM k0s_lease
      WHERE revoked AND expires_at_ms < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $2 RETURNING seq)
    UPDATE k0s_meta SET pruned_rev = greatest(pruned_rev, $1),
      lease_pruned_seq = greatest(lease_pruned_seq, (SELECT max(seq) FROM forgotten)) WHERE one`,
  types: [int8, int8],
}

/**
 * Bytes on disk with indexes, and an estimate of those in use: of the log, whose files hardly ever shrink, the rows that
 * live by the average size of the rows in some 64 pages, with what surrounds a row, and pages that are never quite full.
 */
export const SIZE: Statement = {
  name: 'size',
  sql: `SELECT total, least(total, total - log + coalesce(live * (row_bytes + 90) * 1.05, log))::bigint FROM (
      SELECT sum(pg_total_relation_size(relid))::bigint AS total, pg_table_size('k0s_log') AS log,
        sum(n_live_tup) FILTER (WHERE relid = 'k0s_log'::regclass) AS live
      FROM pg_stat_all_tables WHERE relid IN ('k0s_log'::regclass, 'k0s_lease'::regclass, 'k0s_meta'::regclass)) t,
    (SELECT avg(pg_column_size(key) + pg_column_size(value)) AS row_bytes FROM k0s_log
      TABLESAMPLE SYSTEM (least(100, 6400.0 / greatest(1, (SELECT pg_relation_size('k0s_log') / 8192))))) s`,
  types: [],
}

/** Rows of an upstream kine's table, whose names are text there; at most $2 of them after id $1. */
export const UPSTREAM_ROWS: Statement = {
  name: 'upstream',
  sql: `SELECT id::bigint, coalesce(created, 0)::bigint, coalesce(deleted, 0)::bigint, coalesce(create_revision, 0)::bigint,
      coalesce(prev_revision, 0)::bigint, coalesce(lease, 0)::bigint, convert_to(name, 'UTF8'), coalesce(value, '')
    FROM (
      SELECT *, sum(octet_length(coalesce(value, ''))) OVER (ORDER BY id) - octet_length(coalesce(value, '')) AS before
      FROM (SELECT * FROM kine WHERE id > $1 ORDER BY id LIMIT $2) s) t
    WHERE before <= $3 ORDER BY id`,
  types: [int8, int8, int8],
}
