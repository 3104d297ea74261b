import { DatabaseSync } from 'node:sqlite'

/**
 * Puts `keys` objects into a database of upstream kine that nobody has open, as the rows that it would write itself: at its
 * own pace that takes minutes. The names are those of the load generator's `fill`.
 */
export function fillUpstreamSqlite(file: string, keys: number, valueBytes: number): void {
  const db = new DatabaseSync(file)
  try {
    const insert = db.prepare(
      'INSERT INTO kine (name, created, deleted, create_revision, prev_revision, lease, value, old_value) VALUES (?, 1, 0, 0, 0, 0, ?, NULL)',
    )
    const value = Buffer.alloc(valueBytes, 'a')
    db.exec('BEGIN')
    for (let i = 0; i < keys; i += 1) {
      const namespace = String(i % 50).padStart(2, '0')
      insert.run(`/registry/bench/namespace-${namespace}/object-${String(i).padStart(6, '0')}`, value)
    }
    db.exec('COMMIT')
  } finally {
    db.close()
  }
}
