import type { MigrationSummary } from '#pkg/datastore/migrate.ts'
import type { MigrationPlan } from '#pkg/datastore/plan.ts'
import type { Progress } from '#pkg/datastore/progress.ts'

/** One line of progress. */
export function renderProgress({ phase, changes, bytes, percent, changesPerSecond }: Progress): string {
  return `${phase}: ${percent} %, ${changes} changes, ${sizeText(bytes)}, ${changesPerSecond} changes/s`
}

/** What was done, for people or for programs. */
export function renderSummary(summary: MigrationSummary, format: 'text' | 'json'): string {
  if (format === 'json') return `${JSON.stringify(summary, undefined, 2)}\n`
  const { outcome, from, to, keys, changes, bytes, leases, revision, seconds, sha256 } = summary
  const head = outcome === 'migrated' ? `${from} is now also ${to}.` : `${to} was complete already.`
  return [
    head,
    `${keys} keys in ${changes} changes (${sizeText(bytes)}), ${leases} leases, revision ${revision}; ${seconds} s.`,
    `Every change was read back and compared: key, revisions, version, lease and value; sha256 ${sha256}.`,
    '',
  ].join('\n')
}

/** What would be done, for people or for programs. */
export function renderPlan(plan: MigrationPlan, format: 'text' | 'json'): string {
  if (format === 'json') return `${JSON.stringify(plan, undefined, 2)}\n`
  const { from, to, target, keys, changes, bytes, leases, revision, compactRevision, toCopy, freeBytes } = plan
  const compacted = compactRevision > 0 ? `, compacted at ${compactRevision}` : ''
  return [
    {
      empty: `${from} would be copied to ${to}, which is empty.`,
      copying: `${to} was begun with: the other ${toCopy} changes of ${from} would be copied to it.`,
      complete: `${to} is complete already, and would be compared with ${from} again.`,
    }[target],
    `${keys} keys in ${changes} changes (${sizeText(bytes)}), ${leases} leases, revision ${revision}${compacted}.`,
    ...(freeBytes === undefined ? [] : [`There is room for ${sizeText(freeBytes)}.`]),
    'Nothing was written.',
    '',
  ].join('\n')
}

function sizeText(bytes: number): string {
  return bytes < MIB ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`
}

const MIB = 1024 * 1024
