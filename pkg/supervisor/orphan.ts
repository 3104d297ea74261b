import { rmSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { allPids, isDead, processArgs, processEnvironment, processNamespace, processStat } from '#pkg/file/proc.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { endGroup } from '#pkg/supervisor/group.ts'
import { readPidFile } from '#pkg/supervisor/pid-file.ts'

/*
 * What happens when the supervisor is killed (SIGKILL, OOM): its children live on, since nothing in Node.js can tie
 * their life to ours (prctl(PR_SET_PDEATHSIG) is not reachable). Programs that log afterwards may end by SIGPIPE; the
 * others run until the next supervisor starts the same component and ends them here first. Pods are never touched:
 * containerd's shims and what they run are in groups of their own.
 *
 * A process is ours when its environment carries both markers, the second naming this component's PID file, when it
 * leads a session, and when it is the same program. What the child itself starts inherits the markers but leads no
 * session: containerd's shims make a group (setpgid), not a session. A PID that was reused by anything else therefore
 * never matches, whatever the file says.
 */

/** k0s's marker; part of the contract with its tools. */
const managedMarker = '_K0S_MANAGED=yes'
const pidFileVariable = '_K0S_PID_FILE'

/** Longest time an orphan gets to end by itself, milliseconds: nobody waits for its answers any more. */
const ORPHAN_GRACE_MS = 5_000

/** A process that some supervisor started. */
export interface ManagedProcess {
  readonly pid: number
  readonly pidFile: string
  /** The component's name, from the PID file's. */
  readonly name: string
}

/** The variables by which a child is recognised later. */
export function managedEnvironment(pidFile: string): Readonly<Record<string, string>> {
  return { _K0S_MANAGED: 'yes', [pidFileVariable]: resolve(pidFile) }
}

/** Ends what an earlier, killed supervisor left of one component. */
export async function endOrphans(
  spec: { readonly name: string; readonly path: string; readonly pidFile: string; readonly stopGraceMs: number },
  { log }: { readonly log: Logger },
): Promise<void> {
  const pidFile = resolve(spec.pidFile)
  const ours = ({ pid, pidFile: of }: ManagedProcess): boolean => of === pidFile && runs(pid, spec.path)
  // The scan also finds a child whose supervisor was killed before the PID file was written, or whose file was deleted.
  const recorded = managedProcess(readPidFile(pidFile))
  const found = new Set([...(recorded ? [recorded] : []), ...scan()].filter(ours).map(({ pid }) => pid))
  await Promise.all(
    [...found].map(async (pid) => {
      log.warn('ending a process that an earlier supervisor left', { pid })
      await endGroup(pid, { name: spec.name, graceMs: Math.min(spec.stopGraceMs, ORPHAN_GRACE_MS) })
    }),
  )
  rmSync(pidFile, { force: true })
}

/**
 * Ends, at once, everything that an earlier, killed supervisor left in a run directory: also components that this one
 * does not run (another role, `--disable-components`), and sooner than one after the other along the graph. The caller
 * holds the node's lock, so no living supervisor owns them.
 *
 * @throws ProcessStopError
 */
export async function endAllOrphans(runDir: string, { log }: { readonly log: Logger }): Promise<void> {
  const orphans = managedProcesses(runDir)
  for (const { pid, name } of orphans)
    log.warn('ending a process that an earlier supervisor left', { pid, component: name })
  await endManaged(orphans, ORPHAN_GRACE_MS)
  for (const { pidFile } of orphans) rmSync(pidFile, { force: true })
}

/** Every supervised process whose PID file is in the directory: for `k0s reset` and for tests. */
export function managedProcesses(runDir: string): readonly ManagedProcess[] {
  const directory = resolve(runDir)
  return scan().filter(({ pidFile }) => dirname(pidFile) === directory)
}

/** Ends the process groups, SIGTERM first. @throws ProcessStopError */
export async function endManaged(processes: readonly ManagedProcess[], graceMs: number): Promise<void> {
  await Promise.all(processes.map(({ pid, name }) => endGroup(pid, { name, graceMs })))
}

/** The same network namespace only: another host in a namespace of its own may use the same paths. */
function scan(): readonly ManagedProcess[] {
  const here = processNamespace('self', 'net')
  return allPids()
    .filter((pid) => pid !== process.pid)
    .flatMap((pid) => managedProcess(pid) ?? [])
    .filter(({ pid }) => processNamespace(pid, 'net') === here)
}

function managedProcess(pid: number | undefined): ManagedProcess | undefined {
  if (pid === undefined) return undefined
  const environment = processEnvironment(pid)
  if (!environment?.includes(managedMarker)) return undefined
  const pidFile = environment
    .find((entry) => entry.startsWith(`${pidFileVariable}=`))
    ?.slice(pidFileVariable.length + 1)
  const stat = processStat(pid)
  if (pidFile === undefined || stat === undefined || isDead(stat) || stat.sessionId !== pid) return undefined
  return { pid, pidFile, name: basename(pidFile, '.pid') }
}

/** By base name: an upgrade may have moved the file. */
function runs(pid: number, path: string): boolean {
  return basename(processArgs(pid)?.[0] ?? '') === basename(path)
}
