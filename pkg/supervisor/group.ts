import { errnoCode } from '#pkg/errors/error.ts'
import { allPids, isDead, processStat } from '#pkg/file/proc.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { ProcessStopError } from '#pkg/supervisor/errors.ts'

/**
 * How often a group that was told to end is looked at, milliseconds. Most programs take a few of the first; each look reads all
 * of /proc, so those that take long are looked at less and less often.
 */
const FIRST_POLL_MS = 10
const LAST_POLL_MS = 100
/** SIGKILL takes effect at once unless the process hangs in the kernel; then waiting longer does not help. */
const KILL_TIMEOUT_MS = 10_000

/** How a group is ended. */
export interface GroupEnd {
  /** Whose it is, for the error. */
  readonly name: string
  readonly graceMs: number
  /** Its abort ends the grace time. */
  readonly inVain?: AbortSignal | undefined
}

/**
 * Ends a process group: SIGTERM, SIGKILL after `graceMs`, and returns once nothing of it runs. Processes that made a
 * group of their own are not touched: containerd starts its shims so, and with them the pods stay.
 *
 * @throws ProcessStopError when something is left 10 s after SIGKILL.
 */
export async function endGroup(groupId: number, { name, graceMs, inVain }: GroupEnd): Promise<void> {
  if (!signalGroup(groupId, 'SIGTERM')) return
  if (await groupGone(groupId, graceMs, inVain)) return
  signalGroup(groupId, 'SIGKILL')
  if (!(await groupGone(groupId, KILL_TIMEOUT_MS))) throw new ProcessStopError(name, groupId)
}

/** Sends a signal to every process of the group; false when there is none. */
export function signalGroup(groupId: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-groupId, signal)
  } catch (err) {
    if (errnoCode(err) === 'ESRCH') return false
    throw err
  }
}

async function groupGone(groupId: number, timeoutMs: number, inVain?: AbortSignal): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  for (let pauseMs = FIRST_POLL_MS; isGroupAlive(groupId); pauseMs = Math.min(pauseMs * 1.2, LAST_POLL_MS)) {
    if (performance.now() >= deadline || inVain?.aborted === true) return false
    await sleep(pauseMs)
  }
  return true
}

/** Zombies answer signals but are dead: where PID 1 collects nothing (some containers) they stay for ever. */
function isGroupAlive(groupId: number): boolean {
  if (!signalGroup(groupId, 0)) return false
  return allPids().some((pid) => {
    const stat = processStat(pid)
    return stat?.groupId === groupId && !isDead(stat)
  })
}
