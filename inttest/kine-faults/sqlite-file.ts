import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'

/** Holds a database that nobody has open to SQLite's own check. */
export function checkIntegrity(file: string): void {
  const db = new DatabaseSync(file)
  try {
    assert.deepEqual(Object.values(db.prepare('PRAGMA integrity_check').get() ?? {}), ['ok'])
  } finally {
    db.close()
  }
}
