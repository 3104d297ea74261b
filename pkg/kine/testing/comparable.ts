/** Fields that differ by nature between two servers, and the clock. */
const OWN = new Set(['cluster_id', 'member_id', 'raft_term', 'hash'])

/** Plain data without the fields that name a server; bytes as text. */
export function comparable(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1')
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([name]) => !OWN.has(name))
  return Object.fromEntries(entries.map(([name, field]) => [name, comparable(field)]))
}
