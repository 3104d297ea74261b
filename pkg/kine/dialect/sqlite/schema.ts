import type { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'

/** Layout of the database, kept in PRAGMA user_version. */
export const SCHEMA_VERSION = 1

/** "k0sk": marks the file as ours in PRAGMA application_id. */
export const APPLICATION_ID = 0x6b30736b

/**
 * `log` is the one source of truth: a row a change, ordered by id. No old value is stored: the version before is the
 * row before it in (key, rev), which compaction keeps as long as a watcher may ask for it.
 */
const SCHEMA = `
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

/** Kubernetes objects overflow 4 KiB pages. Only has an effect before the first write. */
const PAGE_SIZE_BYTES = 8192

/** A column with ids of leases as better-sqlite3 is to give them: beyond 2^53 as text, because it would round them. */
export function leaseIdColumn(column: string): string {
  return `CASE WHEN ${column} BETWEEN -9007199254740991 AND 9007199254740991 THEN ${column} ELSE CAST(${column} AS TEXT) END`
}

/** Figures of the `meta` table. */
export type MetaName = 'cluster_id' | 'member_id' | 'compact_rev' | 'pruned_rev'

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
  db.exec('PRAGMA cache_size = -4000')
}

/** Creates the tables of a new file, or checks that an old one is ours and not newer than this program. */
export function migrate(db: Connection, randomId: () => number): void {
  const version = db.figure('user_version')
  if (version > SCHEMA_VERSION) {
    throw new Error(`schema version ${version} is newer than ${SCHEMA_VERSION}; run the version of k0s that wrote it`)
  }
  if (version === SCHEMA_VERSION) return
  const tables = db.values<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  if (tables.length > 0) throw new Error(`the file holds other tables (${tables.join(', ')})`)
  db.transaction(() => {
    db.exec(SCHEMA)
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`)
    setMeta(db, 'cluster_id', randomId())
    setMeta(db, 'member_id', randomId())
  })
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
