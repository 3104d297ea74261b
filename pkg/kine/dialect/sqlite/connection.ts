import { createRequire } from 'node:module'
import Database from 'better-sqlite3'
import type { Statement } from 'better-sqlite3'

/**
 * Everything made by the addon stays reachable until its thread ends. node_object_wrap.h of Node 24.21 aborts the process
 * when such an object is collected outside a JavaScript context, which a garbage collection in an idle thread is.
 */
const reachable = new Set<object>()

/** Rows of a statement: objects by column name, or the first column alone. */
type Shape = 'rows' | 'values'

/** A SQLite connection that prepares each statement once. */
export class Connection {
  readonly #db: Database.Database
  readonly #statements = new Map<string, Statement>()

  /** `busyTimeoutMs`: how long a statement waits for a lock of another connection. `readOnly`: the file must exist. */
  constructor(file: string, binding: string, busyTimeoutMs: number, readOnly = false) {
    // A path would go through better-sqlite3's own require(), which a bundle does not have.
    const addon = createRequire(binding)(binding) as object
    this.#db = new Database(file, {
      timeout: busyTimeoutMs,
      readonly: readOnly,
      nativeBinding: addon as unknown as string,
    })
    reachable.add(this)
    reachable.add(this.#db)
  }

  /** A statement whose rows are objects. */
  rows<P extends unknown[], R>(sql: string): Statement<P, R> {
    return this.#prepare(sql, 'rows') as Statement<P, R>
  }

  /** A statement of one column, whose rows are its values. */
  values<P extends unknown[], R>(sql: string): Statement<P, R> {
    return this.#prepare(sql, 'values') as Statement<P, R>
  }

  /** Runs statements that return nothing of interest, also each PRAGMA that sets: some act when they are compiled. */
  exec(sql: string): void {
    this.#db.exec(sql)
  }

  /** Current value of a numeric PRAGMA. */
  figure(pragma: string): number {
    return this.values<[], number>(`PRAGMA ${pragma}`).get() ?? 0
  }

  /** Runs `work` in a transaction: all of it is committed, or nothing and the error is thrown on. */
  transaction<T>(work: () => T): T {
    this.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.exec('COMMIT')
      return result
    } catch (error) {
      // A failed commit may leave the transaction open, or have rolled it back by itself.
      if (this.#db.inTransaction) this.exec('ROLLBACK')
      throw error
    }
  }

  close(): void {
    this.#db.close()
  }

  #prepare(sql: string, shape: Shape): Statement {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#db.prepare(sql)
    if (shape === 'values' && statement.reader) statement.pluck()
    this.#statements.set(sql, statement)
    return statement
  }
}
