import { readdir, readFile } from 'node:fs/promises'
import { cgroupsNamed } from '#inttest/common/cgroups.ts'
import type { Names } from '#inttest/common/names.ts'
import { must } from '#inttest/common/run.ts'

/** What a set of hosts shows of itself on the machine, by kind; every list is empty when nothing of it is there. */
export type Traces = Readonly<
  Record<'processes' | 'mounts' | 'namespaces' | 'interfaces' | 'cgroups' | 'nftables', readonly string[]>
>

/** Looks for everything of the hosts of `names` whose disks are below `dir`; of nftables the machine's own tables. */
export async function tracesOf({ prefix }: Names, dir: string): Promise<Traces> {
  const ours = (text: string): boolean => text.includes(prefix) || text.includes(dir)
  const lines = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '')
  return {
    processes: await processesWhere(ours),
    mounts: lines(await readFile('/proc/self/mountinfo', 'utf8')).filter(ours),
    namespaces: lines(await must(['ip', 'netns', 'list'])).filter(ours),
    interfaces: lines(await must(['ip', '-o', 'link'])).filter(ours),
    cgroups: await cgroupsNamed(prefix),
    nftables: lines(await must(['nft', 'list', 'tables'])),
  }
}

/** Every process of a host is in its control groups, which it cannot leave; those around a host name its directory. */
async function processesWhere(isOurs: (text: string) => boolean): Promise<readonly string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    const read = (file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
    const [groups, argv] = [await read('cgroup'), (await read('cmdline')).replaceAll('\0', ' ')]
    const isDead = argv === '' // a zombie, until the machine's init collects it
    if (Number(pid) !== process.pid && !isDead && (isOurs(groups) || isOurs(argv))) found.push(`${pid} ${argv}`)
  }
  return found
}
