import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Sizes and intervals of a store. */
export interface StoreOptions {
  /** Recent changes kept in memory, bytes. */
  readonly ringBytes: number
  /** Single values kept in memory, bytes. */
  readonly cacheBytes: number
  /** Interval of progress notifications, milliseconds. */
  readonly progressIntervalMs: number
  /**
   * How long rows stay after a compaction of a shared database, milliseconds: other instances may still be reading them.
   * Default 10 s.
   */
  readonly compactionGraceMs?: number
  /** How long a lease of a shared database runs before what is left of it is stored, milliseconds. Default 5 minutes. */
  readonly leaseCheckpointMs?: number
}

/** What a store works with. */
export interface StoreDeps {
  readonly dialect: Dialect
  readonly log: Logger
  /** After each commit. */
  readonly onCommit?: (durationMs: number) => void
  /** The store cannot go on and must be opened again; never of a shared database. */
  readonly onFailure: (error: unknown) => void
  /** Ends the waiting for a database at the start. */
  readonly signal?: AbortSignal
}
