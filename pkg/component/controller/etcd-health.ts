/** Writes to etcd's log that were waited for until they were on the disk: how many, and seconds in all, since etcd's start. */
export interface Syncs {
  readonly count: number
  readonly seconds: number
}

/** Whether the member that these are of leads. Pure. */
export function leads(metrics: string): boolean {
  return /^etcd_server_is_leader 1$/m.test(metrics)
}

/** etcd's heartbeat: a leader whose disk takes longer is late with everything. */
const SLOW_MS = 100
/** Fewer writes say nothing of a disk. */
export const MIN_SYNCS = 3

/** Reads etcd's /metrics; undefined when they are not there. Pure. */
export function syncsOf(metrics: string): Syncs | undefined {
  const read = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1] ?? NaN)
  const count = read('etcd_disk_wal_fsync_duration_seconds_count')
  const seconds = read('etcd_disk_wal_fsync_duration_seconds_sum')
  return Number.isNaN(count) || Number.isNaN(seconds) ? undefined : { count, seconds }
}

/** A warning when the writes between two readings took too long; undefined when they did not, or were too few. Pure. */
export function slowDisk(before: Syncs, now: Syncs): string | undefined {
  const count = now.count - before.count
  if (count < MIN_SYNCS) return undefined
  const meanMs = ((now.seconds - before.seconds) / count) * 1_000
  if (meanMs < SLOW_MS) return undefined
  return `its disk is slow: a write takes ${meanMs.toFixed(0)} ms on average, which should be less than 10 ms`
}
