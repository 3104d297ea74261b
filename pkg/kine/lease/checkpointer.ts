import { errorMessage } from '#pkg/errors/error.ts'
import type { LeaseId } from '#pkg/kine/backend.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** How long a lease may run before what is left of it is stored; etcd's interval with its feature LeaseCheckpoint. */
export const LEASE_CHECKPOINT_MS = 5 * 60_000
/** Most leases of one commit, as in etcd. */
const MAX_LEASES = 1_000
/** How often it looks, as a part of the interval. */
const LOOKS = 10

/** Options of LeaseCheckpointer. */
export interface LeaseCheckpointerOptions {
  readonly intervalMs: number
}

/** What LeaseCheckpointer needs of its surroundings. */
export interface LeaseCheckpointerDeps {
  readonly lessor: Pick<Lessor, 'ids' | 'unstored'>
  /** Stores what is left of those that have still not been stored for `ageMs`. */
  readonly checkpoint: (ids: readonly LeaseId[], ageMs: number) => Promise<void>
  readonly log: Logger
}

/**
 * Stores from time to time what is left of the leases of a shared database. Without, a lease would begin anew whenever all
 * instances are started again, and never end if that is often.
 */
export class LeaseCheckpointer {
  readonly #deps: LeaseCheckpointerDeps
  /** A little longer in each instance than in the next: the first one to be due does it for all. */
  readonly #ageMs: number
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | undefined

  constructor({ intervalMs }: LeaseCheckpointerOptions, deps: LeaseCheckpointerDeps) {
    this.#deps = deps
    this.#ageMs = intervalMs * (1 + Math.random() / LOOKS)
    this.#timer = setInterval(() => {
      this.#running ??= this.#look().finally(() => (this.#running = undefined))
    }, intervalMs / LOOKS)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }

  async #look(): Promise<void> {
    const { lessor, checkpoint, log } = this.#deps
    const due = lessor.ids().filter((id) => lessor.unstored(id, this.#ageMs) !== undefined)
    try {
      for (let at = 0; at < due.length; at += MAX_LEASES) {
        await checkpoint(due.slice(at, at + MAX_LEASES), this.#ageMs)
      }
    } catch (error) {
      log.debug('cannot store what is left of leases, will try again', { err: errorMessage(error) })
    }
  }
}
