import { readdir, readFile, readlink } from 'node:fs/promises'
import type { Host } from '#inttest/common/host.ts'

/** Proportional set size of every process of a host, its pods' included, by program; megabytes, largest first. */
export async function pssByProgram(host: Host): Promise<readonly (readonly [name: string, mb: number])[]> {
  const namespace = await readlink(`/proc/${String(host.initPid)}/ns/pid`)
  const byProgram = new Map<string, number>()
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      // Pods have PID namespaces below the host's: what counts is who shares the host's network's parent, its cgroup.
      const group = await readFile(`/proc/${pid}/cgroup`, 'utf8')
      const own = await readlink(`/proc/${pid}/ns/pid`)
      if (own !== namespace && !group.includes('kubepods')) continue
      const pss = Number(/^Pss: +(\d+)/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024
      const name = await programName(pid)
      byProgram.set(name, (byProgram.get(name) ?? 0) + pss)
    } catch {
      continue // it ended meanwhile
    }
  }
  return [...byProgram].sort(([, a], [, b]) => b - a)
}

async function programName(pid: string): Promise<string> {
  const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
  const script = argv.findIndex((arg) => arg.endsWith('main.mjs'))
  if (script >= 0) return `k0s ${argv[script + 1] ?? ''}`
  return (await readFile(`/proc/${pid}/comm`, 'utf8')).trim()
}
