import { access, constants, readdir, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { StoreAddress } from '#pkg/datastore/address.ts'
import { DatastoreError, DatastoreNotEmptyError } from '#pkg/datastore/errors.ts'
import { dumpChanges, openEtcdSource } from '#pkg/datastore/etcd-source.ts'
import { fillingDirectory } from '#pkg/datastore/etcd-target.ts'
import { explained } from '#pkg/datastore/kine-source.ts'
import { runningEtcdTarget } from '#pkg/datastore/open.ts'
import type { OpenDeps } from '#pkg/datastore/open.ts'
import type { TargetState } from '#pkg/datastore/store.ts'
import { databaseState } from '#pkg/datastore/target-state.ts'
import { checkUnused } from '#pkg/datastore/unused.ts'
import { errnoCode } from '#pkg/errors/error.ts'
import { asFileError } from '#pkg/file/errors.ts'
import type { Endpoint } from '#pkg/kine/endpoint/endpoint.ts'
import { NoDatastoreError } from '#pkg/kine/errors.ts'

/** A target as it is found, with nothing made or changed there. */
export interface InspectedTarget {
  readonly state: TargetState
  /** Room on the file system of a file or directory, undefined for a server. */
  readonly freeBytes: number | undefined
}

/** Looks at what is to be filled. @throws DatastoreError and its kin, KineError */
export async function inspectTarget(address: StoreAddress, deps: OpenDeps): Promise<InspectedTarget> {
  switch (address.type) {
    case 'etcd-server':
      throw runningEtcdTarget(address.name)
    case 'etcd-directory': {
      const { directory, name } = address
      const freeBytes = await roomAt(dirname(directory))
      return { state: await etcdState(directory, name, deps), freeBytes }
    }
    case 'database': {
      const { endpoint, name } = address
      if (endpoint.type !== 'sqlite') {
        await checkUnused(endpoint, name, deps)
        return { state: await storedState(endpoint, name, deps), freeBytes: undefined }
      }
      const { file } = endpoint
      const freeBytes = await roomAt(dirname(file))
      // SQLite takes a file without content for a new database.
      const size = (await sizeOf(file)) ?? 0
      return { state: size === 0 ? { phase: 'empty' } : await storedState(endpoint, name, deps), freeBytes }
    }
  }
}

async function storedState(endpoint: Endpoint, name: string, deps: OpenDeps): Promise<TargetState> {
  const dialect = await deps.openDialect(endpoint, { readOnly: true })
  try {
    return databaseState(await dialect.open(), name)
  } catch (error) {
    // The migration makes the tables, and the database if it may.
    if (error instanceof NoDatastoreError) return { phase: 'empty' }
    throw explained(error, name)
  } finally {
    await dialect.close()
  }
}

async function etcdState(directory: string, name: string, deps: OpenDeps): Promise<TargetState> {
  const reading = { program: await deps.etcdProgram(), workDir: deps.workDir, name }
  const entries = await entriesOf(directory)
  if (entries.length > 0) {
    if (!entries.includes('member')) {
      throw new DatastoreNotEmptyError(`${name} is not empty (${entries.slice(0, 3).join(', ')}): move that away`)
    }
    await using existing = await openEtcdSource({ directory }, reading)
    return { phase: 'complete', contents: existing.contents }
  }
  const begun = join(fillingDirectory(directory), 'member', 'snap', 'db')
  if ((await sizeOf(begun)) === undefined) return { phase: 'empty' }
  let revision = 0
  for await (const page of dumpChanges(begun, 0, reading)) revision = page.at(-1)?.revision ?? revision
  return { phase: 'copying', revision }
}

/** Free bytes where `directory` is or will be made. @throws DatastoreError if it cannot be made or written */
async function roomAt(directory: string): Promise<number> {
  let existing = directory
  while ((await sizeOf(existing)) === undefined && dirname(existing) !== existing) existing = dirname(existing)
  try {
    await access(existing, constants.W_OK)
    if (!(await stat(existing)).isDirectory()) throw new Error('it is no directory')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DatastoreError(`cannot write in ${existing}: ${reason}`, { cause })
  }
  const { bavail, bsize } = await statfs(existing)
  return bavail * bsize
}

/** Undefined if there is no such file. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined
    return await asFileError('read', path, () => Promise.reject(error as Error))
  }
}

async function entriesOf(directory: string): Promise<readonly string[]> {
  return (await sizeOf(directory)) === undefined ? [] : await asFileError('read', directory, () => readdir(directory))
}
