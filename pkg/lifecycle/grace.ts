import { withDeadline } from '#pkg/lifecycle/deadline.ts'

/** How long a call may still take. */
export interface GraceOptions {
  /** In all, milliseconds. */
  readonly timeoutMs: number
  /** Once `parent` has aborted, milliseconds. */
  readonly graceMs: number
}

/**
 * Runs `fn` as withDeadline() does, but lets it go on for a while when `parent` aborts: a write that is cut off may have been made
 * all the same, and nobody would know.
 *
 * @throws what `fn` throws, and the reason of `parent` when it had aborted before
 */
export async function withGrace<T>(
  parent: AbortSignal,
  { timeoutMs, graceMs }: GraceOptions,
  fn: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  parent.throwIfAborted()
  const cutting = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const onParentAbort = (): void => {
    timer = setTimeout(() => cutting.abort(parent.reason), graceMs)
  }
  parent.addEventListener('abort', onParentAbort, { once: true })
  try {
    return await withDeadline(cutting.signal, timeoutMs, fn)
  } finally {
    clearTimeout(timer)
    parent.removeEventListener('abort', onParentAbort)
  }
}
