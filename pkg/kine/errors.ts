import { K0sError } from '#pkg/errors/error.ts'

/**
 * Why the store refused or could not do what a client asked. server/status.ts maps each kind to etcd's gRPC code and
 * text; nothing else looks at it.
 */
export type StoreErrorKind =
  | 'compacted'
  | 'future-revision'
  | 'key-not-found'
  | 'lease-not-found'
  | 'lease-exists'
  | 'lease-ttl-too-large'
  | 'no-space'
  | 'corrupt'
  | 'overloaded'
  | 'unavailable'
  | 'stopped'

/** An outcome that an etcd client gets as a gRPC status. */
export class StoreError extends Error {
  readonly kind: StoreErrorKind

  constructor(kind: StoreErrorKind, options?: { readonly cause?: unknown }) {
    super(`store: ${kind}`, options)
    this.name = 'StoreError'
    this.kind = kind
  }
}

/** `k0s kine` cannot start or go on; the message names the endpoint, file or address. */
export class KineError extends K0sError {
  override readonly code = 'ERR_KINE'
}

/** A database that is only read holds no datastore, or is not there. */
export class NoDatastoreError extends KineError {}

/** The database file belongs to another running process. */
export class DatabaseLockedError extends K0sError {
  override readonly code = 'ERR_KINE_LOCKED'
}
