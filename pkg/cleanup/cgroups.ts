import { readdir, readFile, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { parseCgroupMounts } from '#pkg/sysinfo/cgroup.ts'
import type { ResetContext, ResetStep } from '#pkg/cleanup/step.ts'

/** Names of the kubelet's top group: with the cgroupfs driver, and with systemd's. */
const kubepods = ['kubepods', 'kubepods.slice'] as const
/** A group stays busy for a moment after the last of its processes was killed. */
const BUSY_TRIES = 20
const BUSY_PAUSE_MS = 100

/** Removes the kubelet's control groups in every hierarchy; processes still in them are ended. */
export const removeCgroups: ResetStep = {
  name: 'cgroups',
  run: async (context) => {
    const { root, vars } = context
    const mounts = parseCgroupMounts(await readFile(join(root, 'proc/self/mountinfo'), 'utf8'))
    const below = await cgroupRoot(join(vars.dataDir, 'worker-config.json'))
    const removed: string[] = []
    const problems: string[] = []
    for (const { mountPoint } of mounts) {
      for (const name of kubepods) {
        const group = join(root, mountPoint, below, name)
        try {
          if (await removeGroup(group, context)) removed.push(group)
        } catch (err) {
          problems.push(`${group} is left: ${errorMessage(err)}`)
        }
      }
    }
    return { removed, problems }
  },
}

/** The kubelet's --cgroup-root, from the worker profile that ran here. */
async function cgroupRoot(rememberedConfig: string): Promise<string> {
  try {
    const { config } = parse(await readFile(rememberedConfig, 'utf8')) as {
      config: { kubeletConfiguration: { cgroupRoot?: string } }
    }
    return config.kubeletConfiguration.cgroupRoot ?? '/'
  } catch {
    return '/' // the kubelet's default
  }
}

/** Removes a group with its sub-groups, innermost first; false when it is not there. */
async function removeGroup(path: string, context: ResetContext): Promise<boolean> {
  const entries = await readdir(path, { withFileTypes: true }).catch((err: unknown) => {
    if (errnoCode(err) === 'ENOENT') return undefined
    throw err
  })
  if (entries === undefined) return false
  for (const entry of entries) {
    if (entry.isDirectory()) await removeGroup(join(path, entry.name), context)
  }
  for (let tries = 1; ; tries += 1) {
    try {
      await rmdir(path)
      return true
    } catch (err) {
      if (errnoCode(err) !== 'EBUSY' || tries === BUSY_TRIES) throw err
      await killMembers(path)
      await sleep(BUSY_PAUSE_MS, { signal: context.signal })
    }
  }
}

async function killMembers(path: string): Promise<void> {
  const pids = (await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '')).split('\n')
  for (const pid of pids.map(Number).filter((number) => number > 1)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // it has ended meanwhile
    }
  }
}
