import { readlink } from 'node:fs/promises'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { allPids, isAlive, processArgs, processEnvironment, processNamespace, processStat } from '#pkg/file/proc.ts'
import { isBelow } from '#pkg/cleanup/mount-table.ts'
import type { ResetStep } from '#pkg/cleanup/step.ts'

const TERM_GRACE_MS = 10_000
const KILL_GRACE_MS = 5_000
const POLL_MS = 50

/**
 * Ends what a killed supervisor left running, containerd and the kubelet first so that nothing is started anew, then the
 * containers: every shim of our containerd with all its descendants.
 */
export const endProcesses: ResetStep = {
  name: 'processes',
  run: async ({ vars, signal }) => {
    const removed: string[] = []
    const problems: string[] = []
    const ours = await managedProcesses(vars.binDir)
    const shims = ours.filter(({ name }) => name.startsWith('containerd-shim'))
    for (const process of ours.filter((one) => !shims.includes(one))) send(process.pid, 'SIGTERM')
    const supervised = ours.filter((one) => !shims.includes(one)).map(({ pid }) => pid)
    await untilGone(supervised, TERM_GRACE_MS, signal)
    for (const pid of supervised) send(pid, 'SIGKILL')
    const contained = shims.flatMap(({ pid }) => [pid, ...descendants(pid)])
    for (const pid of contained) send(pid, 'SIGKILL')
    await untilGone([...supervised, ...contained], KILL_GRACE_MS, signal)
    for (const { pid, name } of ours) {
      if (isAlive(pid)) problems.push(`process ${pid} (${name}) does not end`)
      else removed.push(`${name} (${pid})`)
    }
    return { removed, problems }
  },
}

interface ManagedProcess {
  readonly pid: number
  readonly name: string
}

/** Processes of this host (not of containers or of other hosts on the machine) whose program is one that we staged. */
async function managedProcesses(binDir: string): Promise<readonly ManagedProcess[]> {
  const host = processNamespace('self', 'pid')
  const candidates = allPids().filter((pid) => pid !== process.pid && processNamespace(pid, 'pid') === host)
  const found = await Promise.all(
    candidates.map(async (pid) => {
      const program = await readlink(`/proc/${pid}/exe`).catch(() => '')
      if (!isBelow(program, binDir)) return []
      // Users run the staged kubectl and ctr, too: only what we started carries the marker.
      if (!(processEnvironment(pid) ?? []).includes('_K0S_MANAGED=yes')) return []
      return [{ pid, name: processArgs(pid)?.[0]?.split('/').at(-1) ?? program }]
    }),
  )
  return found.flat()
}

function descendants(pid: number): readonly number[] {
  const children = new Map<number, number[]>()
  for (const candidate of allPids()) {
    const parent = processStat(candidate)?.parentPid
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), candidate])
  }
  const collect = (parent: number): readonly number[] =>
    (children.get(parent) ?? []).flatMap((child) => [child, ...collect(child)])
  return collect(pid)
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // it has ended meanwhile
  }
}

async function untilGone(pids: readonly number[], timeoutMs: number, signal: AbortSignal): Promise<void> {
  const startedAt = performance.now()
  while (pids.some((pid) => isAlive(pid)) && performance.now() - startedAt < timeoutMs) await sleep(POLL_MS, { signal })
}
