import { existsSync } from 'node:fs'
import { chown } from 'node:fs/promises'
import { dirname } from 'node:path'
import { KineTarget } from '#pkg/datastore/kine-target.ts'
import type { StoreContents, Target, TargetState } from '#pkg/datastore/store.ts'
import type { UserIds } from '#pkg/file/user.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'

/** A file, and whose it is to be. */
export interface SqliteTargetOptions {
  readonly name: string
  readonly file: string
  /** Undefined: this process. */
  readonly owner: UserIds | undefined
}

/** A SQLite file that is filled; what is made belongs to the user of kine in the end. */
export class SqliteTarget implements Target {
  readonly #target: KineTarget
  readonly #options: SqliteTargetOptions
  readonly #madeDirectory: boolean

  constructor(dialect: Dialect, options: SqliteTargetOptions) {
    this.#target = new KineTarget(dialect, options.name)
    this.#options = options
    this.#madeDirectory = !existsSync(dirname(options.file))
  }

  state(): Promise<TargetState> {
    return this.#target.state()
  }

  write(changes: readonly StoredChange[]): Promise<void> {
    return this.#target.write(changes)
  }

  changes(): AsyncIterable<readonly StoredChange[]> {
    return this.#target.changes()
  }

  complete(contents: StoreContents): Promise<void> {
    return this.#target.complete(contents)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#target[Symbol.asyncDispose]()
    const { file, owner } = this.#options
    if (owner === undefined) return
    const paths = [file, `${file}.lock`, ...(this.#madeDirectory ? [dirname(file)] : [])]
    for (const path of paths) if (existsSync(path)) await chown(path, owner.uid, owner.gid)
  }
}
