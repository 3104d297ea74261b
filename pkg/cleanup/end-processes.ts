import { readlink } from 'node:fs/promises'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { allPids, isAlive, processArgs, processEnvironment, processNamespace, processStat } from '#pkg/file/proc.ts'
import { isBelow } from '#pkg/cleanup/mount-table.ts'
import type { ResetStep } from '#pkg/cleanup/step.ts'
import { endManaged, managedProcesses, type ManagedProcess } from '#pkg/supervisor/orphan.ts'

const TERM_GRACE_MS = 10_000
const KILL_GRACE_MS = 5_000
const POLL_MS = 50

const SHIM = 'containerd-shim-runc-v2'

/**
 * Ends what a killed supervisor left running: what it supervised first, so that nothing is started anew, then the
 * containers: every shim of our containerd with all its descendants.
 *
 * The supervised are known by their markers, wherever their program is: kine and the tunnel server may run in place from
 * where k0s was started. Shims have no PID file; they are known by their program in the bin directory.
 */
export const endProcesses: ResetStep = {
  name: 'processes',
  run: async ({ vars, signal }) => {
    const supervised = await Promise.all(managedProcesses(vars.runDir).map(endSupervised))
    const shims = await shimsOf(vars.binDir)
    const contained = shims.flatMap((pid) => [pid, ...descendants(pid)])
    for (const pid of contained) send(pid, 'SIGKILL')
    await untilGone(contained, KILL_GRACE_MS, signal)
    const outcomes = [...supervised, ...shims.map((pid) => outcome({ pid, name: SHIM }))]
    return {
      removed: outcomes.flatMap(({ removed }) => removed ?? []),
      problems: outcomes.flatMap(({ problem }) => problem ?? []),
    }
  },
}

interface Outcome {
  readonly removed?: string
  readonly problem?: string
}

async function endSupervised(supervised: ManagedProcess): Promise<Outcome> {
  try {
    await endManaged([supervised], TERM_GRACE_MS)
    return outcome(supervised)
  } catch (thrown) {
    return { problem: errorMessage(thrown) }
  }
}

function outcome({ pid, name }: { readonly pid: number; readonly name: string }): Outcome {
  return isAlive(pid) ? { problem: `process ${pid} (${name}) does not end` } : { removed: `${name} (${pid})` }
}

/** Shims of this host (not of containers or of other hosts on the machine) whose program is the one that we staged. */
async function shimsOf(binDir: string): Promise<readonly number[]> {
  const host = processNamespace('self', 'pid')
  const candidates = allPids().filter((pid) => pid !== process.pid && processNamespace(pid, 'pid') === host)
  const found = await Promise.all(
    candidates.map(async (pid) => {
      if (!isBelow(await readlink(`/proc/${pid}/exe`).catch(() => ''), binDir)) return []
      const isShim = processArgs(pid)?.[0]?.split('/').at(-1) === SHIM
      // Somebody may run the staged containerd by hand: only what we started carries the marker.
      return isShim && processEnvironment(pid)?.includes('_K0S_MANAGED=yes') === true ? [pid] : []
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
