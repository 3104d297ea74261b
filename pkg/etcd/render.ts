import { memberIdHex, type EtcdMember } from '#pkg/etcd/member.ts'

/** The members as `k0s etcd member-list` prints them; JSON has the names and URLs that k0s prints. Pure. */
export function renderMembers(members: readonly EtcdMember[], format: 'json' | 'table'): string {
  const sorted = members.toSorted((a, b) => a.name.localeCompare(b.name))
  if (format === 'json') {
    const byName = Object.fromEntries(sorted.map(({ name, peerUrls }) => [name, peerUrls.join(',')]))
    return `${JSON.stringify({ members: byName })}\n`
  }
  const rows = [
    ['NAME', 'ROLE', 'PEER ADDRESS', 'ID'],
    ...sorted.map(({ id, name, peerUrls, isLearner }) => [
      name === '' ? '(not started)' : name,
      isLearner ? 'learner' : 'voter',
      peerUrls.join(','),
      memberIdHex(id),
    ]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}
