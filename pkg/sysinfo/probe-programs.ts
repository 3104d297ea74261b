import { chooseNetfilter, findProgram, readNetfilter } from '#pkg/sysinfo/netfilter.ts'
import { row, type ProbeRow } from '#pkg/sysinfo/row.ts'

/** Programs of the host that a worker calls. */
export async function probePrograms(options: {
  readonly worker: boolean
  readonly path: string
  readonly root: string
}): Promise<readonly ProbeRow[]> {
  if (!options.worker) return []
  const { path, root } = options
  const facts = await readNetfilter(path, root)
  const backend = chooseNetfilter(facts, 'nftables')
  const netfilter =
    backend === undefined
      ? row(['programs', 'netfilter'], 'Netfilter back end', 'none', 'rejected', 'install nftables, or iptables')
      : row(['programs', 'netfilter'], 'Netfilter back end', backend)
  const rows = Object.entries(programs).map(async ([name, without]) => {
    const file = await findProgram(name, path, root)
    if (file !== undefined) return row(['programs', name], `Executable in PATH: ${name}`, file)
    return row(['programs', name], `Executable in PATH: ${name}`, 'not found', without.category, without.message)
  })
  return [netfilter, ...(await Promise.all(rows))]
}

const programs = {
  mount: { category: 'rejected', message: 'install it: volumes cannot be mounted' },
  umount: { category: 'rejected', message: 'install it: volumes cannot be unmounted' },
  nft: { category: 'warning', message: 'install nftables: faster Services' },
  'iptables-save': { category: 'warning', message: 'install iptables: NetworkPolicy cannot be enforced' },
  ipset: { category: 'warning', message: 'install ipset: NetworkPolicy cannot be enforced' },
  modprobe: { category: 'warning', message: 'kernel modules must be loaded by other means' },
} as const satisfies Readonly<Record<string, Pick<ProbeRow, 'category' | 'message'>>>
