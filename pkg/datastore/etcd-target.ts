import { chown, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatastoreNotEmptyError } from '#pkg/datastore/errors.ts'
import { encodeBatch, encodeEnd } from '#pkg/datastore/etcd-frames.ts'
import type { EtcdChange } from '#pkg/datastore/etcd-frames.ts'
import { EtcdProgram } from '#pkg/datastore/etcd-program.ts'
import { dumpChanges, openEtcdSource } from '#pkg/datastore/etcd-source.ts'
import type { StoreContents, Target, TargetState } from '#pkg/datastore/store.ts'
import { errnoCode } from '#pkg/errors/error.ts'
import { asFileError } from '#pkg/file/errors.ts'
import type { UserIds } from '#pkg/file/user.ts'
import type { Revision } from '#pkg/kine/backend.ts'
import { fillChange } from '#pkg/kine/import/log-writer.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'

/** What the only member of the new cluster is. */
export interface EtcdTargetOptions {
  /** The data directory; must not exist, or be empty. */
  readonly directory: string
  readonly memberName: string
  /** URL by which other members will reach it. */
  readonly peerUrl: string
  /** Owner of the files; undefined: this process. */
  readonly owner: UserIds | undefined
  readonly program: string
  readonly workDir: string
  readonly name: string
}

/**
 * A data directory of etcd's that is filled beside its place, `<directory>.k0s-migration`, and moved there when it is
 * complete.
 */
export class EtcdTarget implements Target {
  readonly #options: EtcdTargetOptions
  readonly #filling: string
  #loading: EtcdProgram | undefined
  #revision: Revision = 0
  /** Batches sent and not yet acknowledged. */
  #unacknowledged = 0

  constructor(options: EtcdTargetOptions) {
    this.#options = options
    this.#filling = fillingDirectory(options.directory)
  }

  async state(): Promise<TargetState> {
    const { directory, name } = this.#options
    const entries = await entriesOf(directory)
    if (entries.length > 0) {
      if (!entries.includes('member')) {
        throw new DatastoreNotEmptyError(`${name} is not empty (${entries.slice(0, 3).join(', ')}): move that away`)
      }
      await using existing = await openEtcdSource({ directory }, this.#options)
      return { phase: 'complete', contents: existing.contents }
    }
    const begun = (await entriesOf(this.#filling)).length > 0
    await this.#load()
    return begun ? { phase: 'copying', revision: this.#revision } : { phase: 'empty' }
  }

  async write(changes: readonly StoredChange[]): Promise<void> {
    const loading = await this.#load()
    if (this.#unacknowledged > 0) await this.#acknowledge(loading)
    await loading.send(encodeBatch(numbered(changes)))
    this.#unacknowledged += 1
  }

  async *changes(): AsyncGenerator<readonly StoredChange[]> {
    const file = (dir: string): string => join(dir, 'member', 'snap', 'db')
    // The file is locked while it is written.
    await this.#pause()
    const complete = (await entriesOf(this.#options.directory)).length > 0
    yield* dumpChanges(file(complete ? this.#options.directory : this.#filling), 0, this.#options)
  }

  async complete(contents: StoreContents): Promise<void> {
    const loading = await this.#load()
    if (this.#revision < contents.revision) await this.write([fillChange(contents.revision)])
    while (this.#unacknowledged > 0) await this.#acknowledge(loading)
    await loading.send(encodeEnd(contents))
    await loading.finish()
    this.#loading = undefined
    await this.#moveIntoPlace()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loading?.[Symbol.asyncDispose]()
  }

  /** The program that writes, with which the position comes. */
  async #load(): Promise<EtcdProgram> {
    if (this.#loading !== undefined) return this.#loading
    const { directory, memberName, peerUrl, program, name } = this.#options
    await asFileError('create', dirname(directory), () => mkdir(dirname(directory), { recursive: true }))
    const args = ['load', '--data-dir', this.#filling, '--name', memberName, '--peer-url', peerUrl]
    this.#loading = new EtcdProgram(program, args, name)
    await this.#acknowledge(this.#loading)
    this.#unacknowledged = 0
    return this.#loading
  }

  async #acknowledge(loading: EtcdProgram): Promise<void> {
    const { revision } = (await loading.nextReply()) as { readonly revision: Revision }
    this.#revision = revision
    this.#unacknowledged -= 1
  }

  async #pause(): Promise<void> {
    if (this.#loading === undefined) return
    while (this.#unacknowledged > 0) await this.#acknowledge(this.#loading)
    await this.#loading[Symbol.asyncDispose]()
    this.#loading = undefined
  }

  async #moveIntoPlace(): Promise<void> {
    const { directory, owner } = this.#options
    await asFileError('write', directory, async () => {
      if (owner !== undefined) await chownAll(this.#filling, owner)
      // An empty directory may be in its place; rename() takes that.
      await rename(this.#filling, directory)
      await syncDirectory(dirname(directory))
      await rm(`${this.#filling}.new`, { recursive: true, force: true })
    })
  }
}

/** Where a data directory is filled. */
export function fillingDirectory(directory: string): string {
  return `${directory}.k0s-migration`
}

/** etcd tells the changes of one revision apart by numbers from 0. */
function numbered(changes: readonly StoredChange[]): readonly EtcdChange[] {
  let sub = 0
  return changes.map((change, i) => {
    sub = change.revision === changes[i - 1]?.revision ? sub + 1 : 0
    return { ...change, sub }
  })
}

async function entriesOf(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return []
    return await asFileError('read', directory, () => Promise.reject(error as Error))
  }
}

async function chownAll(path: string, owner: UserIds): Promise<void> {
  await chown(path, owner.uid, owner.gid)
  if (!(await stat(path)).isDirectory()) return
  for (const name of await readdir(path)) await chownAll(join(path, name), owner)
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
