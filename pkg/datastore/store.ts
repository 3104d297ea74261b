import type { LeaseRecord, Revision } from '#pkg/kine/backend.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'

/** What a store holds besides its changes. */
export interface StoreContents {
  readonly revision: Revision
  /** -1 before the first compaction. */
  readonly compactRevision: Revision
  readonly leases: readonly LeaseRecord[]
}

/** A store that is only read, and that nobody writes meanwhile. */
export interface Source extends AsyncDisposable {
  readonly contents: StoreContents
  /** Every change since the compaction and after a revision, pages of whole revisions in their order. */
  changes(after: Revision): AsyncIterable<readonly StoredChange[]>
  /** @throws DatastoreInUseError if somebody has written since the source was opened */
  confirmUnchanged(): Promise<void>
}

/** How far a target is: the state of a migration is kept there and nowhere else. */
export type TargetState =
  /** Nothing was ever written. */
  | { readonly phase: 'empty' }
  /** A migration has begun: all changes up to `revision` are there, and nobody can use the store yet. */
  | { readonly phase: 'copying'; readonly revision: Revision }
  /** A store that can be used. */
  | { readonly phase: 'complete'; readonly contents: StoreContents }

/** A store that is filled once. */
export interface Target extends AsyncDisposable {
  state(): Promise<TargetState>
  /** Pages in the order of the source; each is durable when the next is asked for, at the latest. */
  write(changes: readonly StoredChange[]): Promise<void>
  /** What has been written so far. */
  changes(): AsyncIterable<readonly StoredChange[]>
  /** Adds the rest and makes the store usable, both at once. */
  complete(contents: StoreContents): Promise<void>
}
