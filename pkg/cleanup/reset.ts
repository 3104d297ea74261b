import { removeCgroups } from '#pkg/cleanup/cgroups.ts'
import { looksLikeDataDir, workerRan } from '#pkg/cleanup/evidence.ts'
import { endProcesses } from '#pkg/cleanup/end-processes.ts'
import { removeDirectories, removeSharedFiles } from '#pkg/cleanup/files.ts'
import { removeControllerRules, removeRules } from '#pkg/cleanup/netfilter.ts'
import { removeInterfaces } from '#pkg/cleanup/network.ts'
import type { ResetContext, ResetStep, RunProgram, StepReport } from '#pkg/cleanup/step.ts'
import { unmountPods } from '#pkg/cleanup/unmount.ts'
import { removeVirtualAddresses } from '#pkg/cleanup/virtual-addresses.ts'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import { isDirectory } from '#pkg/file/exists.ts'
import { acquireLock, lockHolder } from '#pkg/file/lock.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { lastLine, runProgram } from '#pkg/supervisor/run-program.ts'

/** Something of k0s is left on the host, or it is still running. */
export class ResetError extends K0sError {
  override readonly code = 'ERR_RESET'
}

/**
 * The steps in their order: nothing may run or be mounted when files are removed, and the data directory goes last because
 * it tells what there is to clean up.
 */
export function resetSteps({ worker }: Pick<ResetContext, 'worker'>): readonly ResetStep[] {
  return [
    endProcesses,
    unmountPods,
    removeVirtualAddresses,
    ...(worker ? [removeInterfaces, removeRules, removeCgroups, removeSharedFiles] : [removeControllerRules]),
    removeDirectories,
  ]
}

/** What is reset. */
export interface ResetOptions {
  readonly vars: CfgVars
  /** Steps of others, which run before everything else: services would start k0s again meanwhile. */
  readonly first?: readonly ResetStep[]
  /** Steps of others, which run when everything else is done: users may own files until then. */
  readonly last?: readonly ResetStep[]
}

/**
 * Removes every trace of k0s from this host but /etc/k0s: processes, pods, mounts, interfaces, rules, control groups and
 * data. Data of volumes outside the data directory survives. Where no worker ran nothing outside of k0s's own directories
 * is touched. Idempotent; k0s cannot start meanwhile.
 *
 * @throws ResetError while k0s runs, when not root, when interrupted, for a data directory that is none, or naming what is
 *   left
 */
export async function resetNode(
  { vars, first = [], last = [] }: ResetOptions,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<readonly StepReport[]> {
  if (process.getuid?.() !== 0) throw new ResetError('k0s reset must run as root; use sudo')
  const holder = await lockHolder(vars.lockFile)
  if (holder !== undefined) {
    throw new ResetError(`k0s is still running here (process ${holder}); stop it with k0s stop, then reset`)
  }
  if (!(await looksLikeDataDir(vars.dataDir))) {
    throw new ResetError(
      `${vars.dataDir} does not look like a data directory of k0s, nothing was removed; name the right one with --data-dir`,
    )
  }
  await using held = new AsyncDisposableStack()
  await lockNode(vars, held)
  const worker = await workerRan(vars)
  const context = { vars, log, signal, run: stepPrograms(signal), root: '/', worker, unfinished: false }
  const reports = await runSteps([...first, ...resetSteps(context), ...last], context)
  const problems = reports.flatMap((report) => report.problems)
  if (problems.length > 0)
    throw new ResetError(
      `not everything could be removed: ${problems.join('; ')}; run k0s reset again after correcting that`,
    )
  return reports
}

/** Runs the steps one after the other; one that fails does not keep the others from running. */
export async function runSteps(steps: readonly ResetStep[], context: ResetContext): Promise<readonly StepReport[]> {
  const reports: StepReport[] = []
  for (const step of steps) {
    const { name } = step
    if (context.signal.aborted) throw new ResetError('the reset was interrupted; run k0s reset again to finish it')
    const unfinished = reports.some(({ problems }) => problems.length > 0)
    const report = await step.run({ ...context, unfinished }).catch((err: unknown) => ({
      removed: [],
      problems: [`${name}: ${errorMessage(err)}`],
    }))
    for (const what of report.removed) context.log.info('removed', { step: name, what })
    for (const problem of report.problems) context.log.warn('not removed', { step: name, problem })
    reports.push({ step: name, ...report })
  }
  return reports
}

/** Without a run directory nothing has run since the last boot or reset, and there is nowhere to put a lock. */
async function lockNode({ runDir, lockFile }: CfgVars, held: AsyncDisposableStack): Promise<void> {
  if (await isDirectory(runDir)) held.use(await acquireLock(lockFile))
}

const PROGRAM_TIMEOUT_MS = 30_000

function stepPrograms(signal: AbortSignal): RunProgram {
  return async (name, args, input) => {
    const { code, stdout, stderr } = await runProgram(name, args, { input, signal, timeoutMs: PROGRAM_TIMEOUT_MS })
    if (code === undefined) return undefined
    if (code !== 0) throw new Error(`${name}: ${lastLine(stderr) ?? `exit code ${code}`}`)
    return stdout
  }
}
