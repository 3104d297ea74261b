import { DatastoreNotEmptyError } from '#pkg/datastore/errors.ts'
import type { Source, TargetState } from '#pkg/datastore/store.ts'
import type { Revision } from '#pkg/kine/backend.ts'
import type { StoredState } from '#pkg/kine/dialect/dialect.ts'
import { COPY_PENDING, IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'

/** How far a SQL database is that holds our tables. @throws DatastoreNotEmptyError when it holds the table of an upstream kine */
export function databaseState(stored: StoredState, name: string): TargetState {
  const { revision, lastId, compactRevision } = stored
  if (compactRevision === COPY_PENDING) return { phase: 'copying', revision: lastId === 0 ? 0 : revision }
  if (compactRevision === IMPORT_PENDING) {
    throw new DatastoreNotEmptyError(
      `${name} holds the table of another kine: use an empty database, or let "k0s kine" import that table`,
    )
  }
  return isEmpty(stored) ? { phase: 'empty' } : { phase: 'complete', contents: stored }
}

/** Revision behind which copying begins. @throws DatastoreNotEmptyError when the target holds something else */
export function startOf(state: TargetState, source: Pick<Source, 'contents'>, targetName: string): Revision {
  const { revision, compactRevision } = source.contents
  switch (state.phase) {
    case 'empty':
      return 0
    case 'copying':
      if (state.revision <= revision) return state.revision
      throw new DatastoreNotEmptyError(
        `${targetName} is the target of a migration from another store: empty it, or name the source that was begun with`,
      )
    case 'complete':
      if (state.contents.revision === revision && state.contents.compactRevision === compactRevision) return revision
      throw new DatastoreNotEmptyError(
        `${targetName} holds a store at revision ${state.contents.revision}: migrate to an empty one`,
      )
  }
}

function isEmpty({ lastId, leaseSeq, compactRevision, leases }: StoredState): boolean {
  return lastId === 0 && leaseSeq === 0 && compactRevision === -1 && leases.length === 0
}
