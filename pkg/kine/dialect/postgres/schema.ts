import { randomInt } from 'node:crypto'
import { errorMessage } from '#pkg/errors/error.ts'
import { newestVersion, stepsFrom } from '#pkg/kine/dialect/schema-steps.ts'
import type { SchemaStep } from '#pkg/kine/dialect/schema-steps.ts'
import type { Connection } from '#pkg/kine/dialect/postgres/connection.ts'
import { oid } from '#pkg/kine/dialect/postgres/message-writer.ts'
import { KineError, NoDatastoreError } from '#pkg/kine/errors.ts'
import { IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Of two instances that start together one makes the tables ("k0sk"). Steps of a large database may take long. */
const LOCK = 'SELECT pg_advisory_xact_lock(1798337387)'
const STEP_TIMEOUT_MS = 30 * 60_000

/** Layouts from which on alarms are kept, and what is left of leases; a database that is only read may be older. */
export const ALARM_VERSION = 2
export const REST_VERSION = 3

/**
 * `k0s_log` is the one source of truth: a row a change, ordered by id; the version before is the row before it of the
 * same key. Keys are found by a hash, since an index entry must not exceed a third of a page and keys are as long as they
 * like. `k0s_meta` is one row: the head, on which every commit is a compare-and-swap, and how far pruning has come.
 *
 * Rows of up to a page stay whole: compressing or moving out every object of more than 2 KiB costs more than it saves.
 * The page of `k0s_meta` has room for the versions of its row that nobody has cleaned up yet.
 */
const TABLES = `
CREATE TABLE k0s_log (
  id bigint PRIMARY KEY,
  rev bigint NOT NULL,
  create_rev bigint NOT NULL,
  version bigint NOT NULL,
  lease bigint NOT NULL,
  key_hash bytea NOT NULL,
  key bytea NOT NULL,
  value bytea NOT NULL
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX k0s_log_key ON k0s_log (key_hash, id DESC);
CREATE TABLE k0s_lease (
  id bigint PRIMARY KEY,
  ttl_s bigint NOT NULL,
  expires_at_ms bigint NOT NULL,
  seq bigint NOT NULL,
  revoked boolean NOT NULL
);
CREATE INDEX k0s_lease_seq ON k0s_lease (seq);
CREATE TABLE k0s_meta (
  one boolean PRIMARY KEY CHECK (one),
  schema_version bigint NOT NULL,
  cluster_id bigint NOT NULL,
  member_id bigint NOT NULL,
  revision bigint NOT NULL,
  last_id bigint NOT NULL,
  compact_rev bigint NOT NULL,
  lease_seq bigint NOT NULL,
  lease_pruned_seq bigint NOT NULL,
  pruning_rev bigint NOT NULL,
  pruned_rev bigint NOT NULL
) WITH (fillfactor = 10);
`

/** Who raised what, see etcdserverpb.AlarmMember. */
const ALARM = `
CREATE TABLE k0s_alarm (member_id bigint NOT NULL, type bigint NOT NULL, PRIMARY KEY (member_id, type));
`

/**
 * What is left of a lease since the commit `rest_seq`, if that is the one that changed it last; else it has its whole time.
 * The clock of the database decides nothing, since it can be set: `expires_at_ms` only tells how old a tombstone is.
 */
const LEASE_REST = `
ALTER TABLE k0s_lease ADD COLUMN IF NOT EXISTS rest_seq bigint, ADD COLUMN IF NOT EXISTS rest_ms bigint;
`

/** Every layout there has been, as the steps that lead from one to the next; kept in k0s_meta.schema_version. */
const STEPS: readonly SchemaStep<Connection, Promise<void>>[] = [
  {
    to: 1,
    what: 'create the tables',
    run: async (db) => {
      const compactRevision = (await exists(db, 'kine')) ? IMPORT_PENDING : -1
      const [clusterId, memberId] = [randomInt(1, 2 ** 47), randomInt(1, 2 ** 47)]
      await script(db, TABLES)
      await script(
        db,
        `INSERT INTO k0s_meta VALUES (true, 0, ${clusterId}, ${memberId}, 1, 0, ${compactRevision}, 0, 0, -1, -1)`,
      )
    },
  },
  { to: ALARM_VERSION, what: 'keep alarms', run: (db) => script(db, ALARM) },
  { to: REST_VERSION, what: 'count leases by no clock', run: (db) => script(db, LEASE_REST) },
]

/** Layout that this program writes. */
export const SCHEMA_VERSION = newestVersion(STEPS)

/**
 * Brings the database to the newest layout, all steps in one transaction, while other instances wait. A database of an
 * upstream kine gets our tables beside its own, and is marked to be imported.
 *
 * @throws KineError if a newer program has written it; PostgresError
 */
export async function migrate(db: Connection, log: Logger, steps = STEPS): Promise<void> {
  if (missingSteps(steps, await readVersion(db)).length === 0) return
  await script(db, 'BEGIN')
  await script(db, LOCK)
  for (const step of missingSteps(steps, await readVersion(db))) {
    log.info('changing the layout of the database', { step: step.what, version: step.to })
    await step.run(db)
    await script(db, `UPDATE k0s_meta SET schema_version = ${step.to}`)
  }
  await script(db, 'COMMIT')
}

/** Checks a database that is only read. @throws KineError if it is no datastore, or one of a newer program */
export async function checkReadable(db: Connection): Promise<'ours' | 'upstream'> {
  const version = await readVersion(db)
  if (version > 0) {
    missingSteps(STEPS, version)
    return 'ours'
  }
  if (await exists(db, 'kine')) return 'upstream'
  throw new NoDatastoreError('the database is no datastore: it has neither the table k0s_log nor the table kine')
}

function missingSteps(steps: typeof STEPS, version: number): typeof STEPS {
  try {
    return stepsFrom(steps, version)
  } catch (error) {
    throw new KineError(`cannot use the tables k0s_log and k0s_meta of the database: ${errorMessage(error)}`, {
      cause: error,
    })
  }
}

/** Layout of the database, 0 for none. */
export async function readVersion(db: Connection): Promise<number> {
  if (!(await exists(db, 'k0s_meta'))) return 0
  const statement = { name: 'schema_version', sql: 'SELECT schema_version FROM k0s_meta', types: [] }
  return (await db.first(statement, [], { timeoutMs: STEP_TIMEOUT_MS, read: (row) => row.number() })) ?? 0
}

async function exists(db: Connection, table: string): Promise<boolean> {
  // Read from the table itself: inside a transaction to_regclass() may answer from before another instance's commit.
  const sql = 'SELECT count(*) > 0 FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid)'
  const statement = { name: 'table_exists', sql, types: [oid.text] }
  return (await db.first(statement, [table], { timeoutMs: STEP_TIMEOUT_MS, read: (row) => row.boolean() })) ?? false
}

async function script(db: Connection, sql: string): Promise<void> {
  await db.script(sql, { timeoutMs: STEP_TIMEOUT_MS })
}
