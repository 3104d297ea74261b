import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** Linux tells each boot of the machine apart by it. */
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id'
/** Of the random digits as many as make a safe integer. */
const DIGITS = 12

/**
 * The monotonic clock of the machine, milliseconds since it was started: all processes of a boot share it, and nobody can
 * set it. Without the time for which the machine slept.
 */
export function bootClockMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n)
}

/** Names the boot that `bootClockMs` counts from, above 0; where that cannot be known, every process is one of its own. */
export function currentBoot(): number {
  let id: string
  try {
    id = readFileSync(BOOT_ID_FILE, 'latin1')
  } catch {
    return randomInt(1, 2 ** 47)
  }
  return 1 + Number.parseInt(id.replaceAll('-', '').slice(0, DIGITS), 16)
}
