import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const root = '/sys/fs/cgroup'

/** Directories of the mounted hierarchies: each controller's on cgroup v1, the one tree on v2. */
async function hierarchies(): Promise<readonly string[]> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  return mounts
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? root)
}

/** Makes the group `name` in every hierarchy; on v1 a cpuset is unusable until its CPUs and memory nodes are set. */
export async function makeGroups(name: string): Promise<readonly string[]> {
  const groups: string[] = []
  for (const hierarchy of await hierarchies()) {
    const group = join(hierarchy, name)
    await mkdir(group, { recursive: true })
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const value = await readFile(join(hierarchy, file), 'utf8').catch(() => undefined)
      if (value !== undefined && hierarchy.endsWith('cpuset')) await writeFile(join(group, file), value)
    }
    groups.push(group)
  }
  return groups
}

/** Removes the group `name` with everything below it, once its processes are gone. */
export async function removeGroups(name: string): Promise<void> {
  for (const hierarchy of await hierarchies()) await removeTree(join(hierarchy, name))
}

/** Groups at the top of any hierarchy whose name begins with `prefix`. */
export async function cgroupsNamed(prefix: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const hierarchy of await hierarchies()) {
    const names = (await readdir(hierarchy)).filter((name) => name.startsWith(prefix))
    found.push(...names.map((name) => join(hierarchy, name)))
  }
  return found
}

async function removeTree(group: string): Promise<void> {
  const entries = await readdir(group, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(group, entry.name))
  for (let attempt = 0; ; attempt += 1) {
    try {
      await rmdir(group)
      return
    } catch (err) {
      const code = (err as NodeJS.ErrnoException).code
      if (code === 'ENOENT') return
      // The kernel lets go of a killed process's groups a moment after the process.
      if (code !== 'EBUSY' || attempt === 100) throw err
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
