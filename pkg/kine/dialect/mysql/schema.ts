import { randomInt } from 'node:crypto'
import { errno, errnoOf, MysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import { integer } from '#pkg/kine/dialect/mysql/row.ts'
import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'
import { hasUpstreamTable } from '#pkg/kine/dialect/mysql/upstream-table.ts'
import { stepsFrom } from '#pkg/kine/dialect/schema-steps.ts'
import type { SchemaStep } from '#pkg/kine/dialect/schema-steps.ts'
import { KineError, NoDatastoreError } from '#pkg/kine/errors.ts'
import { IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** A definition waits for transactions that use its table. */
const DEFINITION_MS = 60_000
/** Schema versions from which on alarms are kept, and what is left of leases; a database that is only read may be older. */
export const ALARM_VERSION = 2
export const REST_VERSION = 3
/** For whoever is creating or changing the tables at this moment. */
const SCHEMA_LOCK_SECONDS = 30

/**
 * `k0s_log` is the one source of truth: a row a change, ordered by id, which is the order of commits. No old value is
 * stored: the version before is the row before it in log_key. Keys are found by their hash, since an index takes 3072
 * bytes at most. `value_size` spares a look at values that lie outside their row.
 */
const LOG = `CREATE TABLE IF NOT EXISTS k0s_log (
  id BIGINT NOT NULL PRIMARY KEY,
  rev BIGINT NOT NULL,
  key_hash BINARY(16) NOT NULL,
  \`key\` MEDIUMBLOB NOT NULL,
  create_rev BIGINT NOT NULL,
  version BIGINT NOT NULL,
  lease BIGINT NOT NULL,
  value_size BIGINT NOT NULL,
  value LONGBLOB NOT NULL,
  KEY log_key (key_hash, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=binary`

/** `seq` is that of the commit that last changed the lease; a revoked one stays for those who follow (pruner.ts). */
const LEASE = `CREATE TABLE IF NOT EXISTS k0s_lease (
  id BIGINT NOT NULL PRIMARY KEY,
  ttl_s BIGINT NOT NULL,
  expires_at_ms BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  revoked TINYINT NOT NULL,
  KEY lease_seq (seq)
) ENGINE=InnoDB DEFAULT CHARSET=binary`

/**
 * One row: the head and what goes with it. `pruning_rev` is recorded before rows superseded at it go, `pruned_rev` once
 * they are gone. Revision 1 and compact revision -1 are those of an empty etcd.
 */
const META = `CREATE TABLE IF NOT EXISTS k0s_meta (
  id TINYINT NOT NULL PRIMARY KEY,
  schema_version BIGINT NOT NULL,
  cluster_id BIGINT NOT NULL,
  member_id BIGINT NOT NULL,
  revision BIGINT NOT NULL DEFAULT 1,
  last_id BIGINT NOT NULL DEFAULT 0,
  compact_rev BIGINT NOT NULL DEFAULT -1,
  pruning_rev BIGINT NOT NULL DEFAULT -1,
  pruned_rev BIGINT NOT NULL DEFAULT -1,
  lease_seq BIGINT NOT NULL DEFAULT 0,
  lease_pruned_seq BIGINT NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=binary`

/** Who raised what, see etcdserverpb.AlarmMember. */
const ALARM = `CREATE TABLE IF NOT EXISTS k0s_alarm (
  member_id BIGINT NOT NULL,
  type BIGINT NOT NULL,
  PRIMARY KEY (member_id, type)
) ENGINE=InnoDB DEFAULT CHARSET=binary`

/**
 * What is left of a lease since the commit `rest_seq`, if that is the one that changed it last; else it has its whole time.
 * The clock of the database decides nothing, since it can be set: `expires_at_ms` only tells how old a tombstone is.
 */
const LEASE_REST = 'ALTER TABLE k0s_lease ADD COLUMN rest_seq BIGINT, ADD COLUMN rest_ms BIGINT'
const HAS_LEASE_REST =
  "SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'k0s_lease' AND column_name = 'rest_ms'"

/** Every definition is a commit of its own in MySQL, so each step can be run again. */
export const STEPS: readonly SchemaStep<Session, Promise<void>>[] = [
  {
    to: 1,
    what: 'create the tables',
    run: async (session) => {
      for (const sql of [LOG, LEASE, META]) await session.query(sql, DEFINITION_MS)
      const compactRevision = (await hasUpstreamTable(session)) ? IMPORT_PENDING : -1
      const figures = [randomInt(1, 2 ** 47), randomInt(1, 2 ** 47), compactRevision]
      const columns = 'id, schema_version, cluster_id, member_id, compact_rev'
      await session.query(`INSERT IGNORE INTO k0s_meta (${columns}) VALUES (1, 0, ${figures.join(',')})`, DEFINITION_MS)
    },
  },
  {
    to: ALARM_VERSION,
    what: 'keep alarms',
    run: async (session) => {
      await session.query(ALARM, DEFINITION_MS)
    },
  },
  {
    to: REST_VERSION,
    what: 'count leases by no clock',
    run: async (session) => {
      const found = (await session.query(HAS_LEASE_REST, DEFINITION_MS)) as readonly Row[]
      if (found.length === 0) await session.query(LEASE_REST, DEFINITION_MS)
    },
  },
]

/**
 * Brings the tables up to date, one instance at a time. A database of an upstream kine gets our tables beside its own,
 * and is marked to be imported.
 *
 * @throws MysqlError; KineError if a newer version has written them
 */
export async function migrate(session: Session, log: Logger): Promise<void> {
  if (pending(await schemaVersion(session)).length === 0) return
  await withLock(session, 'schema', SCHEMA_LOCK_SECONDS, async () => {
    for (const step of pending(await schemaVersion(session))) {
      const { to, what } = step
      log.info('changing the database', { schemaVersion: to, what })
      await step.run(session)
      await session.query(`UPDATE k0s_meta SET schema_version = ${to}`, DEFINITION_MS)
    }
  })
}

/** Checks a database that is only read. @throws KineError if it is no datastore, or one of a newer program; MysqlError */
export async function checkReadable(session: Session): Promise<'ours' | 'upstream'> {
  const version = await schemaVersion(session)
  if (version > 0) {
    pending(version)
    return 'ours'
  }
  if (await hasUpstreamTable(session)) return 'upstream'
  throw new NoDatastoreError('the database is no datastore: it has neither the table k0s_log nor the table kine')
}

/**
 * Runs `fn` while no other instance runs anything under this name; the server lets the lock go with the session.
 *
 * @throws MysqlError if another one does so for longer than `waitSeconds`
 */
export async function withLock<T>(
  session: Session,
  name: string,
  waitSeconds: number,
  fn: () => Promise<T>,
): Promise<T> {
  if (!(await takeLock(session, name, waitSeconds))) {
    throw new MysqlError(`another instance holds the lock '${name}' of the database`, { lost: false })
  }
  try {
    return await fn()
  } finally {
    await releaseLock(session, name)
  }
}

/** Tries to take a lock of this database, whose names the whole server shares. */
export async function takeLock(session: Session, name: string, waitSeconds: number): Promise<boolean> {
  const sql = `SELECT GET_LOCK(${lockName(name)}, ${waitSeconds})`
  const [row] = (await session.query(sql, (waitSeconds + 2) * 1000)) as readonly Row[]
  return row?.[0] === 1
}

/** What fails here was ended by the loss of the session, and that has been told. */
export async function releaseLock(session: Session, name: string): Promise<void> {
  if (session.alive) await session.query(`SELECT RELEASE_LOCK(${lockName(name)})`, DEFINITION_MS).catch(() => undefined)
}

/** MySQL takes 64 characters. */
function lockName(name: string): string {
  return `CONCAT('k0s-kine-', MD5(DATABASE()), '-${name}')`
}

async function schemaVersion(session: Session): Promise<number> {
  try {
    const [row] = (await session.query('SELECT schema_version FROM k0s_meta', DEFINITION_MS)) as readonly Row[]
    return row === undefined ? 0 : integer(row[0])
  } catch (error) {
    if (errnoOf(error) === errno.noSuchTable) return 0
    throw error
  }
}

function pending(version: number): typeof STEPS {
  try {
    return stepsFrom(STEPS, version)
  } catch (error) {
    throw new KineError(`cannot use the database: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}
