/** Why `withDeadline` aborted its inner signal when time ran out. */
export class DeadlineError extends Error {
  readonly timeoutMs: number

  /** @param what - is in the message: what gave no answer */
  constructor(timeoutMs: number, what?: string) {
    super(
      what === undefined ? `no success within ${timeoutMs} ms` : `${what} gave no answer within ${timeoutMs / 1_000} s`,
    )
    this.name = 'DeadlineError'
    this.timeoutMs = timeoutMs
  }
}

/**
 * Runs `fn` with a signal that aborts when `parent` does or `timeoutMs` milliseconds have passed, and unlinks it
 * afterwards: `AbortSignal.any()` on a long-lived parent leaks one listener a call (nodejs/node#62363).
 *
 * @throws what `fn` throws; `fn` is expected to reject with the reason of its signal.
 */
export async function withDeadline<T>(
  parent: AbortSignal | undefined,
  timeoutMs: number,
  fn: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  parent?.throwIfAborted()
  const inner = new AbortController()
  const onParentAbort = (): void => inner.abort(parent?.reason)
  parent?.addEventListener('abort', onParentAbort, { once: true })
  const timer = setTimeout(() => inner.abort(new DeadlineError(timeoutMs)), timeoutMs)
  try {
    return await fn(inner.signal)
  } finally {
    clearTimeout(timer)
    parent?.removeEventListener('abort', onParentAbort)
  }
}
