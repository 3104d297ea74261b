import { must } from '#inttest/common/run.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'

/** The clock of this machine, which all hosts on it share. */
export class MachineClock {
  readonly #distanceMs = Date.now() - monotonicMs()

  /** Sets it so many seconds off from where it would be; 0 puts it right. */
  async set(offSeconds: number): Promise<void> {
    const ms = monotonicMs() + this.#distanceMs + offSeconds * 1_000
    await must(['date', '--set', `@${(ms / 1_000).toFixed(3)}`])
  }
}
