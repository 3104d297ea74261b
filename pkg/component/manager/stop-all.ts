import type { Managed } from '#pkg/component/manager/start-all.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { DeadlineError } from '#pkg/lifecycle/deadline.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** A component that has not stopped by then is given up, so that one fault cannot keep all others running. */
const STOP_TIMEOUT_MS = 90_000

/**
 * Stops every component that is not stopped yet, each as soon as all that are `after` it have stopped; a component
 * that does not stop holds nobody up.
 *
 * @returns what failed, by component.
 */
export async function stopAll(
  all: readonly Managed[],
  { log, timeoutMs = STOP_TIMEOUT_MS }: { readonly log: Logger; readonly timeoutMs?: number },
): Promise<ReadonlyMap<string, unknown>> {
  const failures = new Map<string, unknown>()
  const stopping = new Map<string, Promise<void>>()
  const stopOne = async ({ component, record }: Managed): Promise<void> => {
    const dependants = all.filter((other) => other.component.after.includes(component.name))
    await Promise.all(dependants.flatMap((other) => stopping.get(other.component.name) ?? []))
    if (record.state === 'stopped') return
    const neverBegun = record.state === 'waiting'
    record.transition('stopping')
    try {
      if (!neverBegun) await withinTime(component.stop(), timeoutMs)
      record.transition('stopped')
      if (!neverBegun) log.info('component stopped', { component: component.name })
    } catch (err) {
      record.transition('failed', `did not stop: ${errorMessage(err)}`)
      failures.set(component.name, err)
      log.error('component did not stop', { component: component.name, err })
    }
  }
  // Dependants come later in `all`, so their promises exist when those they are after look for them.
  for (const managed of [...all].reverse()) stopping.set(managed.component.name, stopOne(managed))
  await Promise.all(stopping.values())
  return failures
}

async function withinTime(work: Promise<void>, timeoutMs: number): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new DeadlineError(timeoutMs)), timeoutMs)
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
