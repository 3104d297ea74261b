import type { Key, LeaseId, Revision } from '#pkg/kine/backend.ts'

/** One change of a key, as every store keeps it; their order is that of the revisions, and of the log inside one. */
export interface StoredChange {
  readonly key: Key
  readonly revision: Revision
  /** First revision of this life of the key; of a deletion: of the life that it ended, 0 if that is not known. */
  readonly createRevision: Revision
  /** 1 after creation, +1 per put; 0 marks a deletion. */
  readonly version: number
  /** Lease the key is attached to, 0 for none. */
  readonly lease: LeaseId
  readonly value: Buffer
}
