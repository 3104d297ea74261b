import { DatastoreDifferentError } from '#pkg/datastore/errors.ts'
import { ProgressMeter } from '#pkg/datastore/progress.ts'
import type { Progress } from '#pkg/datastore/progress.ts'
import type { Source, StoreContents, Target } from '#pkg/datastore/store.ts'
import { startOf } from '#pkg/datastore/target-state.ts'
import { verifyCopy } from '#pkg/datastore/verify.ts'
import type { Verified } from '#pkg/datastore/verify.ts'
import type { Revision } from '#pkg/kine/backend.ts'

/** One migration. */
export interface MigrationOptions {
  readonly source: Source
  readonly target: Target
  readonly sourceName: string
  readonly targetName: string
}

/** What a migration needs of its surroundings. */
export interface MigrationDeps {
  /** Breaks off between two batches; the same migration goes on there later. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
}

/** What was done. */
export interface MigrationSummary extends Verified {
  readonly from: string
  readonly to: string
  /** `present`: the target was complete already, and was verified again. */
  readonly outcome: 'migrated' | 'present'
  readonly revision: Revision
  readonly compactRevision: Revision
  readonly leases: number
  /** Changes written by this run; fewer than `changes` if it went on with an interrupted one. */
  readonly copied: number
  readonly seconds: number
}

/**
 * Makes the target the same store as the source: every change since the source's compaction with its revision, the
 * compact revision, and the leases with the time they have left.
 *
 *   empty ──► copying ──► verified ──► complete
 *     ▲           │           │
 *     └─ killed: the target itself says up to which revision it is copied ─┘
 *
 * INVARIANTS: the source is never written. A target is of no use to kine or etcd before it was verified; then its leases
 * begin to run.
 *
 * @throws DatastoreError and its kin, KineError
 */
export async function migrate(options: MigrationOptions, deps: MigrationDeps): Promise<MigrationSummary> {
  const startedAt = performance.now()
  const { source, target } = options
  const state = await target.state()
  const from = startOf(state, source, options.targetName)
  const { revision, compactRevision, leases } = source.contents
  const summary = (outcome: MigrationSummary['outcome'], copied: number, verified: Verified): MigrationSummary => ({
    from: options.sourceName,
    to: options.targetName,
    outcome,
    revision,
    compactRevision,
    leases: leases.length,
    copied,
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
    ...verified,
  })
  if (state.phase === 'complete') return summary('present', 0, await verify(options, deps))
  const copied = await copy(options, from, deps)
  const verified = await verify(options, deps)
  await source.confirmUnchanged()
  await target.complete(source.contents)
  await checkCompletion(options)
  return summary('migrated', copied, verified)
}

async function copy(options: MigrationOptions, from: Revision, deps: MigrationDeps): Promise<number> {
  const { source, target } = options
  const meter = new ProgressMeter('copying', { from, to: source.contents.revision }, deps.onProgress)
  for await (const page of source.changes(from)) {
    deps.signal.throwIfAborted()
    await target.write(page)
    meter.add(page)
  }
  meter.end()
  return meter.changes
}

async function verify(options: MigrationOptions, deps: MigrationDeps): Promise<Verified> {
  const meter = new ProgressMeter('verifying', { from: 0, to: options.source.contents.revision }, deps.onProgress)
  const verified = await verifyCopy(options, (changes) => {
    deps.signal.throwIfAborted()
    meter.add(changes)
  })
  meter.end()
  return verified
}

/** What came with the completion: reads it back. @throws DatastoreDifferentError */
async function checkCompletion({ source, target, targetName }: MigrationOptions): Promise<void> {
  const state = await target.state()
  const difference = state.phase === 'complete' ? contentsDifference(source.contents, state.contents) : 'not complete'
  if (difference === undefined) return
  throw new DatastoreDifferentError(`${targetName} is not the source: ${difference}; empty it and migrate again`)
}

function contentsDifference(a: StoreContents, b: StoreContents): string | undefined {
  if (a.revision !== b.revision) return `its revision is ${b.revision} instead of ${a.revision}`
  if (a.compactRevision !== b.compactRevision) {
    return `its compact revision is ${b.compactRevision} instead of ${a.compactRevision}`
  }
  const granted = new Map(b.leases.map(({ id, ttlSeconds }) => [id, ttlSeconds]))
  const missing = a.leases.find(({ id, ttlSeconds }) => granted.get(id) !== ttlSeconds)
  return missing === undefined ? undefined : `lease ${missing.id} is not there`
}
