import { existsSync } from 'node:fs'
import { chmod, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Its clock is not ours from the beginning, so that it can be seen that it has one of its own. */
export const AHEAD_SECONDS = 3600

/** The clock of one process that was started with `env`; what measures durations is not touched. */
export class Clock {
  readonly env: Readonly<Record<string, string>>
  readonly #file: string

  static async at(dir: string): Promise<Clock> {
    const clock = new Clock(join(dir, 'clock'), await library())
    await clock.step(0)
    return clock
  }

  private constructor(file: string, preload: string) {
    this.#file = file
    this.env = {
      LD_PRELOAD: preload,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
  }

  /** Sets it so many seconds off where it began. */
  async step(seconds: number): Promise<void> {
    // In one piece: it is read at every look at the clock.
    const sum = AHEAD_SECONDS + seconds
    await writeFile(`${this.#file}.new`, `${sum < 0 ? '' : '+'}${String(sum)}\n`)
    await chmod(`${this.#file}.new`, 0o644)
    await rename(`${this.#file}.new`, this.#file)
  }
}

/** Of Debian's package `libfaketime`. */
async function library(): Promise<string> {
  for (const dir of await readdir('/usr/lib')) {
    const path = join('/usr/lib', dir, 'faketime/libfaketimeMT.so.1')
    if (existsSync(path)) return path
  }
  throw new Error('this test needs libfaketime: apt-get install libfaketime')
}
