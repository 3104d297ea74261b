import { DatastoreError } from '#pkg/datastore/errors.ts'
import type { InspectedTarget } from '#pkg/datastore/inspect.ts'
import { ProgressMeter } from '#pkg/datastore/progress.ts'
import type { Progress } from '#pkg/datastore/progress.ts'
import type { Source, TargetState } from '#pkg/datastore/store.ts'
import { startOf } from '#pkg/datastore/target-state.ts'
import type { Revision } from '#pkg/kine/backend.ts'
import { identity } from '#pkg/kine/keys.ts'

/** A migration that is only looked at. */
export interface PlanOptions {
  readonly source: Source
  readonly target: InspectedTarget
  readonly sourceName: string
  readonly targetName: string
}

/** What it needs of its surroundings. */
export interface PlanDeps {
  /** Breaks off between two pages. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
}

/** What a migration would do. */
export interface MigrationPlan {
  readonly dryRun: true
  readonly from: string
  readonly to: string
  /** `copying`: an interrupted migration has begun with it; `complete`: it would only be verified again. */
  readonly target: TargetState['phase']
  readonly revision: Revision
  readonly compactRevision: Revision
  readonly leases: number
  /** Keys that exist. */
  readonly keys: number
  /** Versions of keys, deletions included. */
  readonly changes: number
  /** Of keys and values. */
  readonly bytes: number
  /** Changes that are not in the target yet. */
  readonly toCopy: number
  /** Room on the file system of the target, where that is one of this host. */
  readonly freeBytes?: number
  /** For reading the source. */
  readonly seconds: number
}

/**
 * Says what a migration would do: reads the source as that would, and writes nothing.
 *
 * @throws DatastoreNotEmptyError if the target holds something else; DatastoreInUseError if somebody writes to the source;
 * DatastoreError if the target has not the room
 */
export async function planMigration(options: PlanOptions, deps: PlanDeps): Promise<MigrationPlan> {
  const startedAt = performance.now()
  const { source, target, sourceName, targetName } = options
  const from = startOf(target.state, source, targetName)
  const { revision, compactRevision, leases } = source.contents
  const meter = new ProgressMeter('reading', { from: 0, to: revision }, deps.onProgress)
  const keys = new Set<string>()
  let toCopy = 0
  for await (const page of source.changes(0)) {
    deps.signal.throwIfAborted()
    for (const change of page) {
      if (change.version > 0) keys.add(identity(change.key))
      else keys.delete(identity(change.key))
      if (change.revision > from) toCopy += 1
    }
    meter.add(page)
  }
  meter.end()
  await source.confirmUnchanged()
  const { freeBytes } = target
  const { changes, bytes } = meter
  if (freeBytes !== undefined && toCopy > 0 && freeBytes < bytes) {
    throw new DatastoreError(
      `${targetName}: the store has ${bytes} bytes, and there is room for ${freeBytes}; make more`,
    )
  }
  return {
    dryRun: true,
    from: sourceName,
    to: targetName,
    target: target.state.phase,
    revision,
    compactRevision,
    leases: leases.length,
    keys: keys.size,
    changes,
    bytes,
    toCopy,
    ...(freeBytes !== undefined && { freeBytes }),
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
  }
}
