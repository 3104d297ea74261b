import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorMessage } from '#pkg/errors/error.ts'
import type { ResetContext, ResetStep } from '#pkg/cleanup/step.ts'

/** Tables that are ours as a whole: kube-proxy's, Felix's, flannel's, the portmap plugin's and the controllers' balancer's. */
const ourTables = /^table (ip|ip6|inet) (kube-proxy|calico|flannel-ipv4|flannel-ipv6|cni_hostport|k0s-cplb)$/
/** The one that a controller without pods makes. */
const controllerTables = /^table inet k0s-cplb$/
/** Chains in tables shared with others: kubelet and kube-proxy, Felix, flannel, portmap. */
const ourChains = /^(KUBE-|cali-|cali:|FLANNEL-|CNI-)/
/** Tables of iptables-nft; emptied of our chains nothing may be left in them. */
const iptablesTables = /^table (ip|ip6) (filter|nat|mangle|raw)$/

/** Removes the tables and chains that route Services and enforce policy. */
export const removeRules: ResetStep = {
  name: 'netfilter',
  run: async (context) => {
    const removed: string[] = []
    const problems: string[] = []
    const attempt = async (what: string, fn: () => Promise<readonly string[]>): Promise<void> => {
      try {
        removed.push(...(await fn()))
      } catch (err) {
        problems.push(`${what}: ${errorMessage(err)}`)
      }
    }
    await attempt('nftables', async () => await removeTables(context, ourTables))
    for (const name of await iptablesInUse(context)) await attempt(name, async () => await removeChains(context, name))
    await attempt('nftables', async () => await removeEmptyTables(context))
    await attempt('ipset', async () => await removeSets(context))
    return { removed, problems }
  },
}

/** Removes what leads connections to the virtual address of the controllers to a balancer that is gone. */
export const removeControllerRules: ResetStep = {
  name: 'netfilter',
  run: async (context) => {
    try {
      return { removed: await removeTables(context, controllerTables), problems: [] }
    } catch (err) {
      return { removed: [], problems: [`nftables: ${errorMessage(err)}`] }
    }
  },
}

async function removeTables({ run }: ResetContext, pattern: RegExp): Promise<readonly string[]> {
  const tables = await listTables(run, pattern)
  for (const table of tables) await run('nft', ['delete', ...table.split(' ')])
  return tables
}

async function listTables(run: ResetContext['run'], pattern: RegExp): Promise<readonly string[]> {
  const listed = (await run('nft', ['list', 'tables'])) ?? ''
  return listed.split('\n').filter((line) => pattern.test(line))
}

/** What iptables-nft leaves after our chains are gone: a table with base chains that hold no rule and accept. */
async function removeEmptyTables({ run }: ResetContext): Promise<readonly string[]> {
  const removed: string[] = []
  for (const table of await listTables(run, iptablesTables)) {
    if (!isEmptyTable((await run('nft', ['list', ...table.split(' ')])) ?? '')) continue
    await run('nft', ['delete', ...table.split(' ')])
    removed.push(table)
  }
  return removed
}

/** Whether a table as nft lists it has nothing but base chains with the policy accept. */
export function isEmptyTable(listing: string): boolean {
  return listing
    .split('\n')
    .map((line) => line.trim())
    .every((line) => /^(|[{}]|#.*|table .*|chain [A-Z]+ [{]|type .* policy accept;)$/.test(line))
}

/** Listing legacy rules makes the kernel create their tables: they are looked at only where there are some. */
async function iptablesInUse({ root }: ResetContext): Promise<readonly string[]> {
  const legacy = await Promise.all(
    ['ip', 'ip6'].map(async (family) => {
      const tables = await readFile(join(root, `proc/net/${family}_tables_names`), 'utf8').catch(() => '')
      return tables.trim() === '' ? [] : [`${family}tables-legacy`]
    }),
  )
  return ['iptables', 'ip6tables', ...legacy.flat()]
}

/** Felix's sets of addresses; the rules that use them are gone. */
async function removeSets({ run }: ResetContext): Promise<readonly string[]> {
  const listed = (await run('ipset', ['list', '-name'])) ?? ''
  const sets = listed.split('\n').filter((name) => /^cali[46]/.test(name))
  for (const name of sets) await run('ipset', ['destroy', name])
  return sets.length === 0 ? [] : [`${sets.length} ipsets`]
}

async function removeChains({ run }: ResetContext, name: string): Promise<readonly string[]> {
  const saved = await run(`${name}-save`, [])
  if (saved === undefined) return []
  const { text, chains } = withoutOurChains(saved)
  if (text === saved) return []
  await run(`${name}-restore`, [], text)
  return [`${chains.length} chains of ${name}`]
}

/** The output of iptables-save without our chains and the rules in them or leading to them. */
export function withoutOurChains(saved: string): { readonly text: string; readonly chains: readonly string[] } {
  const chains = saved.split('\n').flatMap((line) => {
    const chain = /^:(\S+) /.exec(line)?.[1]
    return chain !== undefined && ourChains.test(chain) ? [chain] : []
  })
  const ours = new Set(chains)
  const kept = saved.split('\n').filter((line) => {
    const chain = /^:(\S+) /.exec(line)?.[1] ?? /^-A (\S+)/.exec(line)?.[1]
    if (chain !== undefined && ours.has(chain)) return false
    // Felix marks its rules in the chains of others.
    if (/ --comment "?cali:/.test(line)) return false
    const target = /\s-[jg] (\S+)/.exec(line)?.[1]
    return target === undefined || !ours.has(target)
  })
  return { text: kept.join('\n'), chains }
}
