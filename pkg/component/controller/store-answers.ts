import { errorMessage } from '#pkg/errors/error.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** Resolves when the store of a controller serves. @throws with the reason why it does not */
export type StoreServes = (signal: AbortSignal) => Promise<void>

/** Longest answer of the store that counts. */
const ANSWER_MS = 2_000
const LOOK_EVERY_MS = 500
/** An election of etcd's members, or a store that is started again, takes less. */
const SILENT_MS = 5_000

/** Why the store does not serve; undefined when it does. @throws the reason of `signal` */
export async function storeSickness(storeServes: StoreServes, signal: AbortSignal): Promise<string | undefined> {
  try {
    await withDeadline(signal, ANSWER_MS, storeServes)
    return undefined
  } catch (err) {
    signal.throwIfAborted()
    return errorMessage(err)
  }
}

/**
 * Resolves with the reason once the store has not served for 5 s. An API server that ends waits for the requests that it has, up to
 * a minute each, and those wait for the store: while it answers they come to an end, and without it they do not.
 *
 * @throws the reason of `signal`
 */
export async function untilStoreSilent(storeServes: StoreServes, signal: AbortSignal): Promise<string> {
  let silentSince: number | undefined
  for (;;) {
    const askedAt = performance.now()
    const reason = await storeSickness(storeServes, signal)
    if (reason === undefined) silentSince = undefined
    else {
      silentSince ??= askedAt
      if (performance.now() - silentSince >= SILENT_MS) {
        return `the store does not answer, and requests wait for it: ${reason}`
      }
    }
    await sleep(LOOK_EVERY_MS, { signal })
  }
}
