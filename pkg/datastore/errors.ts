import { K0sError } from '#pkg/errors/error.ts'

/** A datastore cannot be read or written, or an address of one is wrong. */
export class DatastoreError extends K0sError {
  override readonly code = 'ERR_DATASTORE'
}

/** Something runs on a datastore that is to be read or written as it is. */
export class DatastoreInUseError extends K0sError {
  override readonly code = 'ERR_DATASTORE_IN_USE'
}

/** The target of a migration holds something else already. */
export class DatastoreNotEmptyError extends K0sError {
  override readonly code = 'ERR_DATASTORE_NOT_EMPTY'
}

/** What was copied is not what the source holds. */
export class DatastoreDifferentError extends K0sError {
  override readonly code = 'ERR_DATASTORE_DIFFERENT'
}
