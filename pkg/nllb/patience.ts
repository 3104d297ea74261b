/** Later than this, a timer says more of this process than of who it waits for. */
const LATE_MS = 100

/**
 * Calls `fn` after `ms`; the result prevents it. When this process did not run in time itself, it first reads what came meanwhile:
 * timers of Node.js fire before that.
 */
export function afterPatience(ms: number, fn: () => void): () => void {
  let due = performance.now() + ms
  const check = (): void => {
    if (performance.now() - due < LATE_MS) {
      fn()
      return
    }
    due = performance.now() + LATE_MS
    timer = setTimeout(check, LATE_MS)
  }
  let timer = setTimeout(check, ms)
  return () => clearTimeout(timer)
}

/**
 * Settles as `begin` has it, else after `ms` with what `late` returns or throws.
 *
 * @throws the reason of `signal`
 */
export async function withPatience<T>(
  ms: number,
  signal: AbortSignal,
  late: () => T,
  begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
): Promise<T> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const onAbort = (): void => reject(signal.reason as Error)
  const endPatience = afterPatience(ms, () => {
    try {
      resolve(late())
    } catch (error) {
      reject(error)
    }
  })
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    begin(resolve, reject)
    return await promise
  } finally {
    endPatience()
    signal.removeEventListener('abort', onAbort)
  }
}
