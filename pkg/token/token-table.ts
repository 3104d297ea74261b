import type { TokenInfo } from '#pkg/token/token-store.ts'

/** What `token list` prints. */
export function renderTokens(tokens: readonly TokenInfo[], now: Date): string {
  const rows = tokens.map(({ id, role, createdAt, expiresAt }) => [
    id,
    role,
    createdAt === undefined ? '-' : age(now.getTime() - createdAt.getTime()),
    expiresAt === undefined ? 'never' : `in ${age(expiresAt.getTime() - now.getTime())}`,
  ])
  const table = [['ID', 'ROLE', 'AGE', 'EXPIRES'], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('   ')
  return table.map((row) => `${line(row).trimEnd()}\n`).join('')
}

/** As kubectl shows ages: the two largest units that matter. */
function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600), Math.floor(seconds / 60)]
  if (days >= 2) return `${days}d`
  if (hours >= 3) return `${hours}h`
  if (minutes >= 10) return `${minutes}m`
  if (minutes >= 2) return `${minutes}m${seconds % 60}s`
  return `${seconds}s`
}
