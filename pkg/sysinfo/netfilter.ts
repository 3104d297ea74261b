import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { kernelFeatures, kernelFeatureState, readKernel } from '#pkg/sysinfo/kernel.ts'

/** What was found out about packet filtering on this host. */
export interface NetfilterFacts {
  /** Absolute paths of the programs that are there. */
  readonly programs: Readonly<Partial<Record<'nft' | 'iptables' | 'iptables-restore', string>>>
  /** Not known to be without nf_tables. */
  readonly kernelHasNfTables: boolean
}

/** Which back end kube-proxy, flannel and Felix use, all three the same. */
export type NetfilterBackend = 'nftables' | 'iptables'

/**
 * Chooses the back end: what is asked for if it can work, nftables where the host can do it, else iptables.
 * `undefined`: neither can work, and Services and policy cannot be served.
 */
export function chooseNetfilter(facts: NetfilterFacts, wanted: NetfilterBackend): NetfilterBackend | undefined {
  const usable: Readonly<Record<NetfilterBackend, boolean>> = {
    nftables: facts.programs.nft !== undefined && facts.kernelHasNfTables,
    iptables: facts.programs.iptables !== undefined && facts.programs['iptables-restore'] !== undefined,
  }
  const order: readonly NetfilterBackend[] = wanted === 'iptables' ? ['iptables', 'nftables'] : ['nftables', 'iptables']
  return order.find((backend) => usable[backend])
}

/** Probes the host. `path` is the PATH that managed processes get. */
export async function readNetfilter(path: string, root = '/'): Promise<NetfilterFacts> {
  const names = ['nft', 'iptables', 'iptables-restore'] as const
  const found = await Promise.all(names.map(async (name) => [name, await findProgram(name, path, root)] as const))
  return {
    programs: Object.fromEntries(found.filter(([, file]) => file !== undefined)),
    kernelHasNfTables: kernelFeatureState(kernelFeatures.nftables, await readKernel(root)) !== 'missing',
  }
}

/** First executable `name` on `path`, absolute, or undefined. */
export async function findProgram(name: string, path: string, root = '/'): Promise<string | undefined> {
  for (const dir of path.split(':')) {
    const file = join(root, dir, name)
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file
  }
  return undefined
}
