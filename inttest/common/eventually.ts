import { setTimeout as sleep } from 'node:timers/promises'

/** How often a condition is looked at. */
const POLL_MS = 100

/**
 * Tries `probe` until it resolves; after `timeoutMs` fails with what was awaited and the last reason. The deadline is
 * about liveness: generous, never a figure.
 */
export async function eventually<T>(what: string, timeoutMs: number, probe: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    try {
      return await probe()
    } catch (err) {
      if (Date.now() > deadline) {
        throw new Error(`${what}: not within ${String(timeoutMs)} ms: ${(err as Error).message}`, { cause: err })
      }
    }
    await sleep(POLL_MS)
  }
}
