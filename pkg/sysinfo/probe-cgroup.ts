import { readCgroups, type CgroupSetup } from '#pkg/sysinfo/cgroup.ts'
import { row, type ProbeRow } from '#pkg/sysinfo/row.ts'

/** Control groups that a worker limits and accounts pods with. */
export async function probeCgroups(options: {
  readonly worker: boolean
  readonly root: string
}): Promise<readonly ProbeRow[]> {
  return options.worker ? cgroupRows(await readCgroups(options.root)) : []
}

/** The rows for what was read; pure. */
export function cgroupRows({ version, controllers }: CgroupSetup): readonly ProbeRow[] {
  if (version === 'none') {
    return [
      row(
        ['cgroups'],
        'Control groups',
        'none',
        'rejected',
        'no cgroup file system is mounted; mount one on /sys/fs/cgroup',
      ),
    ]
  }
  const needs = version === 'v2' ? v2Controllers : v1Controllers
  return [
    versionRow(version),
    ...Object.entries(needs).map(([name, without]) => {
      const path = ['cgroups', name]
      if (controllers.has(name)) return row(path, `cgroup controller "${name}"`, 'available')
      if (without === undefined)
        return row(path, `cgroup controller "${name}"`, 'missing', 'rejected', 'the kubelet does not start without it')
      return row(path, `cgroup controller "${name}"`, 'missing', 'warning', without)
    }),
  ]
}

function versionRow(version: 'v1' | 'v2' | 'hybrid'): ProbeRow {
  if (version === 'v2') return row(['cgroups'], 'Control groups', 'version 2')
  const found = version === 'v1' ? 'version 1' : 'version 1 (hybrid)'
  return row(
    ['cgroups'],
    'Control groups',
    found,
    'warning',
    'works, but Kubernetes has put version 1 into maintenance',
  )
}

/** Controllers of each version: undefined are required, for the others what is lost without them. */
const v1Controllers: Readonly<Record<string, string | undefined>> = {
  cpu: undefined,
  cpuacct: undefined,
  cpuset: undefined,
  memory: undefined,
  devices: undefined,
  freezer: undefined,
  pids: undefined,
  hugetlb: 'pods cannot use huge pages',
  blkio: 'the use of disks is not counted',
}
const v2Controllers: Readonly<Record<string, string | undefined>> = {
  cpu: undefined,
  cpuset: undefined,
  memory: undefined,
  devices: undefined,
  freezer: undefined,
  pids: undefined,
  hugetlb: 'pods cannot use huge pages',
  io: 'the use of disks is not counted',
}
