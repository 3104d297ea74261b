import type { MigrationSummary } from '#pkg/datastore/migrate.ts'
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

function sizeText(bytes: number): string {
  return bytes < MIB ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`
}

const MIB = 1024 * 1024
