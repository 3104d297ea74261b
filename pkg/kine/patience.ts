import { errorMessage } from '#pkg/errors/error.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Pause between two attempts. */
const RETRY = { initialMs: 250, maxMs: 2000, jitter: 0.5 }

/** What `patiently` works with. */
export interface PatienceDeps {
  readonly dialect: Pick<Dialect, 'shared'>
  readonly log: Logger
  /** Ends the waiting. */
  readonly signal?: AbortSignal
}

/**
 * Does something at the start of a store again and again for as long as a shared database is away, and says so the first
 * time. Of a database in this process a failure is final.
 *
 * @throws whatever else `attempt` throws, or the abort error
 */
export async function patiently<T>({ dialect, log, signal }: PatienceDeps, attempt: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt()
    } catch (error) {
      const away = error instanceof StoreError && error.kind === 'unavailable'
      if (dialect.shared === undefined || !away || signal?.aborted === true) throw error
      // That it is away is a warning of its dialect.
      if (failures === 0) log.info('waiting for the database', { err: errorMessage(error.cause ?? error) })
      await sleep(backoffMs(failures, RETRY), { ...(signal && { signal }) })
    }
  }
}
