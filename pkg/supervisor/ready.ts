import { errorMessage } from '#pkg/errors/error.ts'
import { ProbeError } from '#pkg/net/probe.ts'
import { ProcessCrashLoopError } from '#pkg/supervisor/errors.ts'
import type { SupervisedProcess } from '#pkg/supervisor/process.ts'

/** So many fast ends in a row take about 16 s of back-off: what only waited for something else has recovered by then. */
const CRASH_LOOP_FAILURES = 6

/**
 * Probes what a supervised process serves. "connection refused" alone hides that the process keeps ending, so a failure
 * also says how it last ended.
 *
 * @throws ProbeError with both reasons; ProcessCrashLoopError when the process has ended too often to wait for it (only
 *   a start in progress gives up on that: a component that was ready once is respawned for ever).
 */
export async function processReady(
  process: Pick<SupervisedProcess, 'restarts' | 'failures' | 'lastExit'> | undefined,
  probe: () => Promise<unknown>,
): Promise<void> {
  if (process === undefined) throw new ProbeError('its process was not started')
  try {
    await probe()
  } catch (err) {
    const { lastExit, failures = process.restarts } = process
    if (lastExit === undefined || failures === 0) throw err // it runs, or ended long ago: that explains nothing
    if (failures > CRASH_LOOP_FAILURES) throw new ProcessCrashLoopError(failures, lastExit, { cause: err })
    throw new ProbeError(`${errorMessage(err)}; its process ended (${lastExit})`, { cause: err })
  }
}
