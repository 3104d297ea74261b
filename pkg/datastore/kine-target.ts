import { DatastoreError, DatastoreInUseError } from '#pkg/datastore/errors.ts'
import { explained } from '#pkg/datastore/kine-source.ts'
import type { StoreContents, Target, TargetState } from '#pkg/datastore/store.ts'
import { databaseState } from '#pkg/datastore/target-state.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { COPY_PENDING } from '#pkg/kine/import/incomplete.ts'
import { readChanges } from '#pkg/kine/import/log-reader.ts'
import { LogWriter } from '#pkg/kine/import/log-writer.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'

/** A SQL database that is filled; see import/incomplete.ts for what keeps kine from serving it before it is complete. */
export class KineTarget implements Target {
  readonly #dialect: Dialect
  readonly #name: string
  #writer: LogWriter | undefined

  constructor(dialect: Dialect, name: string) {
    this.#dialect = dialect
    this.#name = name
  }

  /** @throws DatastoreNotEmptyError when it holds the table of an upstream kine */
  async state(): Promise<TargetState> {
    const state = await this.#dialect.open().catch((error: unknown) => {
      throw explained(error, this.#name)
    })
    this.#writer = new LogWriter(this.#dialect, state, COPY_PENDING)
    return databaseState(state, this.#name)
  }

  async write(changes: readonly StoredChange[]): Promise<void> {
    await this.#committed((writer) => writer.write(changes))
  }

  changes(): AsyncIterable<readonly StoredChange[]> {
    return readChanges(this.#dialect, 0, this.#writer?.revision ?? 0)
  }

  async complete(contents: StoreContents): Promise<void> {
    await this.#committed((writer) => writer.complete(contents))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dialect.close()
  }

  async #committed(write: (writer: LogWriter) => Promise<boolean>): Promise<void> {
    if (this.#writer === undefined) throw new TypeError('the state of the target was not read')
    try {
      if (await write(this.#writer)) return
    } catch (cause) {
      if (!(cause instanceof StoreError) || cause.kind !== 'no-space') throw explained(cause, this.#name)
      throw new DatastoreError(`${this.#name}: no space left; make room and run the same command again`, { cause })
    }
    throw new DatastoreInUseError(`${this.#name}: somebody else writes to it; stop that and run the same command again`)
  }
}
