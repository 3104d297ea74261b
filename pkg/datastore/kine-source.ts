import type { Source, StoreContents } from '#pkg/datastore/store.ts'
import { DatastoreError, DatastoreInUseError } from '#pkg/datastore/errors.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { upstreamChanges } from '#pkg/kine/import/import.ts'
import { COPY_PENDING, IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'
import { readChanges } from '#pkg/kine/import/log-reader.ts'
import { UpstreamHistory } from '#pkg/kine/import/upstream.ts'

/** Opens a SQL database for reading: one of ours, or one of an upstream kine. @throws DatastoreError, KineError */
export async function openKineSource(dialect: Dialect, name: string): Promise<Source> {
  try {
    const state = await dialect.open()
    if (state.compactRevision <= state.revision) return ownSource(dialect, name, state)
    if (state.compactRevision === COPY_PENDING) {
      throw new DatastoreError(`${name} is the target of a migration that has not finished: finish that one first`)
    }
    if (state.compactRevision !== IMPORT_PENDING) throw new DatastoreError(`${name} is damaged: restore it first`)
    return upstreamSource(dialect, name, await surveyUpstream(dialect))
  } catch (error) {
    await dialect.close()
    throw explained(error, name)
  }
}

function ownSource(dialect: Dialect, name: string, contents: StoreContents): Source {
  return {
    contents,
    changes: (after) => readChanges(dialect, after, contents.revision),
    confirmUnchanged: async () => {
      // Whoever has a database to itself holds its lock.
      const head = await dialect.shared?.head()
      if (head === undefined) return
      const { revision, compactRevision } = contents
      if (head.revision !== revision || head.compactRevision !== compactRevision) throw writtenMeanwhile(name)
    },
    [Symbol.asyncDispose]: () => dialect.close(),
  }
}

function upstreamSource(dialect: Dialect, name: string, contents: StoreContents): Source {
  return {
    contents,
    changes: (after) => upstreamChanges(dialect, new UpstreamHistory(), after),
    confirmUnchanged: async () => {
      const later = await dialect.readUpstream?.(contents.revision)
      if (later === undefined || later.length > 0) throw writtenMeanwhile(name)
    },
    [Symbol.asyncDispose]: () => dialect.close(),
  }
}

/** The compact revision is in one row among all the others, and leases are those of the rows: read all. */
async function surveyUpstream(dialect: Dialect): Promise<StoreContents> {
  const history = new UpstreamHistory()
  const pages = upstreamChanges(dialect, history, 0)
  let page = await pages.next()
  while (page.done !== true) page = await pages.next()
  return { revision: history.revision, compactRevision: history.compactRevision, leases: history.leases() }
}

/** What a user can do about a database that is away. */
export function explained(error: unknown, name: string): unknown {
  if (!(error instanceof StoreError)) return error
  const reason = errorMessage(error.cause ?? error)
  return new DatastoreError(`${name} cannot be used: ${reason}; see that it is up and run the same command again`, {
    cause: error,
  })
}

/** For a source that is not still. */
export function writtenMeanwhile(name: string): DatastoreInUseError {
  return new DatastoreInUseError(
    `${name} has been written to during the migration: stop every API server that uses it and run the same command again`,
  )
}
