import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoCode } from '#pkg/errors/error.ts'

/** How this host presents control groups. */
export interface CgroupSetup {
  /** `hybrid`: v1 with an additional, mostly empty v2 hierarchy, as systemd mounts it. The kubelet treats it as v1. */
  readonly version: 'v1' | 'v2' | 'hybrid' | 'none'
  /** Where the hierarchies are mounted: `/sys/fs/cgroup` or what mountinfo says. */
  readonly controllers: ReadonlySet<string>
}

/** Finds the cgroup version and the usable controllers. `root` stands for `/`: tests give a tree of their own. */
export async function readCgroups(root = '/'): Promise<CgroupSetup> {
  const mounts = parseCgroupMounts(await readText(join(root, 'proc/self/mountinfo')))
  const unified = mounts.find(({ type }) => type === 'cgroup2')
  const legacy = mounts.filter(({ type }) => type === 'cgroup')
  if (legacy.length > 0) {
    const enabled = parseProcCgroups(await readText(join(root, 'proc/cgroups')))
    const mounted = new Set(legacy.flatMap(({ options }) => options))
    return {
      version: unified === undefined ? 'v1' : 'hybrid',
      controllers: new Set(enabled.filter((name) => mounted.has(name))),
    }
  }
  if (unified === undefined) return { version: 'none', controllers: new Set() }
  const listed = (await readText(join(root, unified.mountPoint, 'cgroup.controllers'))).trim()
  // v2 has no files for these two: devices are filtered by BPF and freezing is in the core since 5.2.
  return {
    version: 'v2',
    controllers: new Set([...listed.split(/\s+/).filter((name) => name !== ''), 'devices', 'freezer']),
  }
}

interface CgroupMount {
  readonly mountPoint: string
  readonly type: 'cgroup' | 'cgroup2'
  /** Super block options: for v1 they hold the controllers' names. */
  readonly options: readonly string[]
}

/** The cgroup lines of /proc/self/mountinfo (proc(5)). */
export function parseCgroupMounts(mountinfo: string): readonly CgroupMount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const [type, , options = ''] = after.split(' ')
    const mountPoint = before.split(' ')[4]
    if (mountPoint === undefined || (type !== 'cgroup' && type !== 'cgroup2')) return []
    return [{ mountPoint, type, options: options.split(',') }]
  })
}

/** Controllers that the kernel has enabled, from /proc/cgroups. */
export function parseProcCgroups(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const [name = '#', , , enabled] = line.split('\t')
    return name.startsWith('#') || enabled !== '1' ? [] : [name]
  })
}

/** The driver that the kubelet and containerd have to share: systemd's when it is PID 1, since two managers would fight. */
export async function cgroupDriver(root = '/'): Promise<'systemd' | 'cgroupfs'> {
  return (await readText(join(root, 'proc/1/comm'))).trim() === 'systemd' ? 'systemd' : 'cgroupfs'
}

async function readText(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((err: unknown) => {
    if (errnoCode(err) === 'ENOENT') return ''
    throw err
  })
}
