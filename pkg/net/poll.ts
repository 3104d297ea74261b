import { errorMessage } from '#pkg/errors/error.ts'
import { DeadlineError, withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { ProbeError } from '#pkg/net/probe.ts'

/** How long and how often to try. */
export interface PollOptions {
  readonly signal: AbortSignal
  /** Milliseconds between the end of one try and the start of the next. */
  readonly intervalMs: number
  /** Milliseconds for all tries together. */
  readonly timeoutMs: number
  /** Told of every failed try: for progress lines. */
  readonly onFailure?: (reason: string) => void
}

/**
 * Repeats `attempt` until it resolves.
 *
 * @throws ProbeError naming `what` and the last reason when time runs out; the reason of `signal` when that aborts.
 */
export async function pollUntil<T>(
  what: string,
  attempt: (signal: AbortSignal) => Promise<T>,
  { signal, intervalMs, timeoutMs, onFailure }: PollOptions,
): Promise<T> {
  let last: unknown
  const tryOnce = async (deadline: AbortSignal): Promise<{ readonly value: T } | undefined> => {
    try {
      return { value: await attempt(deadline) }
    } catch (err) {
      deadline.throwIfAborted() // an attempt cut off by the deadline says nothing new
      last = err
      onFailure?.(errorMessage(err))
      return undefined
    }
  }
  try {
    return await withDeadline(signal, timeoutMs, async (deadline) => {
      for (;;) {
        const success = await tryOnce(deadline)
        if (success) return success.value
        await sleep(intervalMs, { signal: deadline })
      }
    })
  } catch (err) {
    signal.throwIfAborted()
    if (!isDeadline(err)) throw err
    const reason = last === undefined ? 'no answer' : errorMessage(last)
    throw new ProbeError(`${what} did not succeed within ${timeoutMs / 1000} s: ${reason}`, { cause: last })
  }
}

/** sleep() wraps the reason of its signal in an AbortError. */
function isDeadline(err: unknown): boolean {
  return err instanceof DeadlineError || (err instanceof Error && err.cause instanceof DeadlineError)
}
