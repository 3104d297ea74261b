import { errorMessage } from '#pkg/errors/error.ts'
import type { Backend } from '#pkg/kine/backend.ts'
import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** How often the size is looked at while there are writes; without a quota it is only for the warning. */
const INTERVAL_MS = 1_000
const WARNING_INTERVAL_MS = 60_000
/** etcd's quota where none is set; here only a warning, and again whenever the size has doubled. */
const WARN_BYTES = 2 * 1024 ** 3

/** When a store is too large. */
export interface SizeAlarmOptions {
  /** etcd's --quota-backend-bytes; 0: none. */
  readonly quotaBytes: number
}

/** What SizeAlarm works with. */
export interface SizeAlarmDeps {
  readonly store: Pick<Backend, 'memberId' | 'status' | 'alarms' | 'alarmActivate'>
  /** Rises with every write: without writes nothing is looked at. */
  readonly writes: () => number
  readonly log: Logger
}

/**
 * Raises the alarm `no space` once what is in use of the database has reached the quota. As in etcd it stays until
 * somebody disarms it, and comes again if that did not help. Every instance of a shared database looks for itself, and
 * whoever is first raises it for all.
 * etcd looks at what is allocated; PostgreSQL gives little of that back, so there would be no way out of the alarm.
 */
export class SizeAlarm implements Disposable {
  readonly #quotaBytes: number
  readonly #deps: SizeAlarmDeps
  readonly #timer: NodeJS.Timeout
  #seenWrites = -1
  #looking = false
  #warnedBytes = WARN_BYTES / 2

  constructor({ quotaBytes }: SizeAlarmOptions, deps: SizeAlarmDeps) {
    this.#quotaBytes = quotaBytes
    this.#deps = deps
    this.#timer = setInterval(() => void this.look(), quotaBytes > 0 ? INTERVAL_MS : WARNING_INTERVAL_MS)
  }

  /** Looks at the size, unless nothing was written since the last time. */
  async look(): Promise<void> {
    const writes = this.#deps.writes()
    if (this.#looking || writes === this.#seenWrites) return
    this.#looking = true
    try {
      const { sizeInUseBytes } = await this.#deps.store.status()
      await this.#judge(sizeInUseBytes)
      this.#seenWrites = writes
    } catch (error) {
      this.#deps.log.debug('cannot look at the size of the database', { err: errorMessage(error) })
    } finally {
      this.#looking = false
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  async #judge(sizeBytes: number): Promise<void> {
    const { store, log } = this.#deps
    if (this.#quotaBytes === 0) {
      if (sizeBytes < this.#warnedBytes * 2) return
      while (sizeBytes >= this.#warnedBytes * 2) this.#warnedBytes *= 2
      log.warn('the database is large; look for what fills it, or set --quota-backend-bytes', { sizeBytes })
      return
    }
    if (sizeBytes < this.#quotaBytes || store.alarms.list(AlarmType.noSpace).length > 0) return
    await store.alarmActivate({ memberId: store.memberId, alarm: AlarmType.noSpace })
    log.error('the database has reached its quota: writes are refused until it is smaller and the alarm is disarmed', {
      sizeBytes,
      quotaBytes: this.#quotaBytes,
    })
  }
}
