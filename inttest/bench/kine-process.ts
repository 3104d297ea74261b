import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** Clock ticks of /proc are hundredths of a second on every Linux that this runs on (USER_HZ). */
const TICKS_PER_SECOND = 100

/** Share of one core that a process with all its threads takes during the time, percent. */
export async function cpuPercent(pid: number, seconds: number): Promise<number> {
  const before = await cpuTicks(pid)
  const began = performance.now()
  await sleep(seconds * 1000)
  const ticks = (await cpuTicks(pid)) - before
  return (100 * ticks) / TICKS_PER_SECOND / ((performance.now() - began) / 1000)
}

/** CPU that a process with all its threads has taken so far, seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  return (await cpuTicks(pid)) / TICKS_PER_SECOND
}

async function cpuTicks(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, 'utf8')
  // Behind the name, which may contain anything: state is the third field, utime and stime the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

/** Memory of a process, megabytes. */
export interface Memory {
  readonly rssMb: number
  readonly pssMb: number
  readonly anonMb: number
}

/** Reads the memory of a process. */
export async function memoryOf(pid: number): Promise<Memory> {
  const [status, rollup] = await Promise.all([
    readFile(`/proc/${String(pid)}/status`, 'utf8'),
    readFile(`/proc/${String(pid)}/smaps_rollup`, 'utf8'),
  ])
  const megabytes = (text: string, name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) / 1024
  return {
    rssMb: megabytes(status, 'VmRSS'),
    anonMb: megabytes(status, 'RssAnon'),
    pssMb: megabytes(rollup, 'Pss'),
  }
}
