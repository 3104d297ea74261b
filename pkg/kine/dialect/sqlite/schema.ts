import { randomInt } from 'node:crypto'
import { newestVersion, stepsFrom } from '#pkg/kine/dialect/schema-steps.ts'
import type { SchemaStep } from '#pkg/kine/dialect/schema-steps.ts'
import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import { IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'

/** "k0sk": marks the file as ours in PRAGMA application_id. */
export const APPLICATION_ID = 0x6b30736b

/**
 * `log` is the one source of truth: a row a change, ordered by id. No old value is stored: the version before is the
 * row `prev_id`, 0 if there is none, which compaction keeps as long as a watcher may ask for it. There is no index by
 * key, which would dirty a page for each key of a commit: the newest row of every key is known in memory, and whatever
 * is older is found from there. The columns that are read without the value stand before it.
 */
const LOG = `
CREATE TABLE log (
  id INTEGER PRIMARY KEY,
  rev INTEGER NOT NULL,
  prev_id INTEGER NOT NULL,
  key BLOB NOT NULL,
  create_rev INTEGER NOT NULL,
  version INTEGER NOT NULL,
  lease INTEGER NOT NULL,
  value BLOB NOT NULL
) STRICT;
`

/** The first layout. */
const FIRST_TABLES = `
CREATE TABLE log (
  id INTEGER PRIMARY KEY,
  rev INTEGER NOT NULL,
  key BLOB NOT NULL,
  create_rev INTEGER NOT NULL,
  version INTEGER NOT NULL,
  lease INTEGER NOT NULL,
  value BLOB NOT NULL
) STRICT;
CREATE INDEX log_key ON log (key, rev);
CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl_s INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`

/** Schema version from which on alarms are kept; a file that is only read may be older. */
export const ALARM_VERSION = 3
const ALARM = `
CREATE TABLE alarm (member_id INTEGER NOT NULL, type INTEGER NOT NULL, PRIMARY KEY (member_id, type)) STRICT, WITHOUT ROWID;
`

/** Kubernetes objects overflow 4 KiB pages. Only has an effect before the first write. */
const PAGE_SIZE_BYTES = 8192

/** A column with ids, as of leases, as better-sqlite3 is to give them: beyond 2^53 as text, because it would round them. */
export function int64Column(column: string): string {
  return `CASE WHEN ${column} BETWEEN -9007199254740991 AND 9007199254740991 THEN ${column} ELSE CAST(${column} AS TEXT) END`
}

/** WAL bytes, estimated, after which a passive checkpoint runs between two commits. */
export const CHECKPOINT_BYTES = 8 * 1024 * 1024

/** A version of a key; `value` itself is not read for its size. */
export const VERSION_COLUMNS = `id, rev AS modRevision, key, create_rev AS createRevision, version, ${int64Column('lease')} AS lease, length(value) AS valueSize`

/**
 * Figures of the `meta` table. `unlinked` is 1 while there are rows whose prev_id is still to be found; `lease_boot` names
 * the clock that leases are counted by.
 */
export type MetaName = 'cluster_id' | 'member_id' | 'compact_rev' | 'pruned_rev' | 'unlinked' | 'lease_boot'

/** Settings of every connection; the writer's also decide the format of a new file. */
export function configure(db: Connection, role: 'writer' | 'reader'): void {
  if (role === 'reader') {
    db.exec('PRAGMA query_only = ON')
    db.exec('PRAGMA cache_size = -2000')
    return
  }
  db.exec(`PRAGMA page_size = ${PAGE_SIZE_BYTES}`)
  db.exec('PRAGMA auto_vacuum = INCREMENTAL')
  db.exec('PRAGMA journal_mode = WAL')
  // better-sqlite3 is compiled with DEFAULT_WAL_SYNCHRONOUS=1 (NORMAL), which loses the last commits on power failure.
  db.exec('PRAGMA synchronous = FULL')
  // Checkpoints run between commits, where the writer decides.
  db.exec('PRAGMA wal_autocheckpoint = 0')
  // Writing over a file's own blocks is synced in two thirds of the time that making it longer takes, so the WAL is not
  // cut off, unless something has made it much longer than it should be.
  db.exec(`PRAGMA journal_size_limit = ${4 * CHECKPOINT_BYTES}`)
  db.exec('PRAGMA cache_size = -4000')
}

/**
 * Every layout there has been, as the steps that lead from one to the next. Kept in PRAGMA user_version.
 *
 * A file of an upstream kine gets our tables beside its own, and is marked to be imported; any other file is refused.
 */
const STEPS: readonly SchemaStep<Connection>[] = [
  {
    to: 1,
    what: 'create the tables',
    run: (db) => {
      const tables = tablesOf(db)
      const upstream = isUpstream(tables)
      if (tables.length > 0 && !upstream) throw new Error(`the file holds other tables (${tables.join(', ')})`)
      db.exec(FIRST_TABLES)
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
      for (const name of ['cluster_id', 'member_id'] as const) setMeta(db, name, randomInt(1, 2 ** 47))
      if (upstream) setMeta(db, 'compact_rev', IMPORT_PENDING)
    },
  },
  {
    to: 2,
    what: 'point from each row to the one before it instead of an index by key',
    run: (db) => {
      db.exec('DROP INDEX log_key; ALTER TABLE log RENAME TO first_log')
      db.exec(LOG)
      db.exec(`
        INSERT INTO log (id, rev, prev_id, key, create_rev, version, lease, value)
        SELECT id, rev, 0, key, create_rev, version, lease, value FROM first_log ORDER BY id;
        DROP TABLE first_log`)
      link(db)
    },
  },
  { to: ALARM_VERSION, what: 'keep alarms', run: (db) => db.exec(ALARM) },
]

/** Layout that this program writes. */
export const SCHEMA_VERSION = newestVersion(STEPS)

/** Brings the file to the newest layout, each step in one transaction. @throws Error if it is newer, or not ours */
export function migrate(db: Connection, steps: readonly SchemaStep<Connection>[] = STEPS): void {
  for (const step of stepsFrom(steps, db.figure('user_version'))) {
    db.transaction(() => {
      step.run(db)
      db.exec(`PRAGMA user_version = ${step.to}`)
    })
  }
}

/** Finds the row before each one that has none yet: one pass over the log. */
export function link(db: Connection): void {
  db.exec(`
    UPDATE log SET prev_id = before.id
    FROM (SELECT id AS row, lag(id) OVER (PARTITION BY key ORDER BY id) AS id FROM log) AS before
    WHERE log.id = before.row AND before.id IS NOT NULL AND log.prev_id = 0`)
}

/** Checks a file that is only read: ours, no newer than this program, or upstream's. @throws Error */
export function checkReadable(db: Connection): void {
  stepsFrom(STEPS, db.figure('user_version'))
  const tables = tablesOf(db)
  if (holdsLog(db) || isUpstream(tables)) return
  throw new Error(tables.length === 0 ? 'the file is empty' : `the file holds other tables (${tables.join(', ')})`)
}

/** Whether the file has our tables. */
export function holdsLog(db: Connection): boolean {
  return db.figure('user_version') > 0
}

function tablesOf(db: Connection): readonly string[] {
  return db.values<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").all()
}

function isUpstream(tables: readonly string[]): boolean {
  return tables.length === 1 && tables[0] === 'kine'
}

/** -1 if it was never set: etcd's compact revision before the first compaction. */
export function getMeta(db: Connection, name: MetaName): number {
  return db.values<[string], number>('SELECT value FROM meta WHERE name = ?').get(name) ?? -1
}

/** Sets one figure. */
export function setMeta(db: Connection, name: MetaName, value: number): void {
  db.rows('INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value').run(
    name,
    value,
  )
}
