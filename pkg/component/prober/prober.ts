import type { Component } from '#pkg/component/component.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** What one probe found. */
export type ProbeResult = { readonly ready: true } | { readonly ready: false; readonly cause: unknown }

/** What a prober needs of a component. */
export type Probed = Pick<Component, 'ready'>

/** Milliseconds between probes of a component that serves: cheap when idle, soon enough for a status. */
export const PROBE_INTERVAL_MS = 10_000
/** Milliseconds between probes of a component that served and does not now. */
const RECOVERY_INTERVAL_MS = 1_000
/** A component that does not answer within this many milliseconds does not serve. */
export const PROBE_TIMEOUT_MS = 10_000

/** How long a cut-off component may take to say why, milliseconds. */
const LAST_WORDS_MS = 50

/** Asks a component once; never longer than `timeoutMs`, also when the component ignores its signal. */
export async function probeOnce(
  component: Probed,
  { signal, timeoutMs = PROBE_TIMEOUT_MS }: { readonly signal: AbortSignal; readonly timeoutMs?: number },
): Promise<ProbeResult> {
  try {
    await withDeadline(signal, timeoutMs, (deadline) => orAborted(component.ready(deadline), deadline))
    return { ready: true }
  } catch (cause) {
    return { ready: false, cause }
  }
}

/**
 * Probes a component that became ready until `signal` aborts, and tells `onResult` what each probe found.
 * Never rejects.
 */
export async function probeForEver(
  component: Probed,
  { signal, intervalMs = PROBE_INTERVAL_MS }: { readonly signal: AbortSignal; readonly intervalMs?: number },
  onResult: (result: ProbeResult) => void,
): Promise<void> {
  const stopped = (): boolean => signal.aborted
  let pauseMs = intervalMs
  while (!stopped()) {
    await sleep(pauseMs, { signal }).catch(() => undefined)
    if (stopped()) return
    const result = await probeOnce(component, { signal })
    if (stopped()) return // a probe cut off by the stop found nothing
    onResult(result)
    pauseMs = result.ready ? intervalMs : Math.min(RECOVERY_INTERVAL_MS, intervalMs)
  }
}

/** One line for a status. */
export function reasonOf(result: ProbeResult): string | undefined {
  return result.ready ? undefined : errorMessage(result.cause)
}

/** The component's own words are better than ours, so it gets a moment to say why it was cut off. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: givenUp, reject } = Promise.withResolvers<never>()
  let timer: NodeJS.Timeout | undefined
  const abort = (): void => {
    timer = setTimeout(() => reject(signal.reason as Error), LAST_WORDS_MS)
  }
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await Promise.race([work, givenUp])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}
