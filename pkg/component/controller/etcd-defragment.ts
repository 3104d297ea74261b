import { errorMessage } from '#pkg/errors/error.ts'
import type { EtcdTls } from '#pkg/etcd/peer.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { probeHttp } from '#pkg/net/probe.ts'

/** The file of a member, bytes. */
export interface EtcdSizes {
  readonly total: number
  /** What of it holds data; the rest is space of what was removed. */
  readonly inUse: number
}

/** When a member looks, and when it acts. */
export interface DefragmentSchedule {
  /** Between two looks, milliseconds, give or take a quarter: members that were started together do not ask together. */
  readonly lookEveryMs: number
  /** Less unused space is not worth a pause of the member. */
  readonly minFreeBytes: number
}

const HOURLY: DefragmentSchedule = { lookEveryMs: 3_600_000, minFreeBytes: 100 * 1024 * 1024 }

/** Whether so much of the file is unused that it should be given back to the disk. Pure. */
export function isWorthDefragmenting({ total, inUse }: EtcdSizes, { minFreeBytes } = HOURLY): boolean {
  return total - inUse >= minFreeBytes && total - inUse >= total / 2
}

/** Reads the sizes out of etcd's metrics; undefined when they are not there. Pure. */
export function sizesOf(metrics: string): EtcdSizes | undefined {
  const read = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1] ?? NaN)
  const [total, inUse] = [read('etcd_mvcc_db_total_size_in_bytes'), read('etcd_mvcc_db_total_size_in_use_in_bytes')]
  return Number.isNaN(total) || Number.isNaN(inUse) ? undefined : { total, inUse }
}

/**
 * Looks once an hour whether the member of this host should be defragmented, and does it: one member at a time, since each serves
 * nobody meanwhile. etcd3 is loaded only then. Ends when `signal` aborts.
 */
export async function defragmentWhenDue(
  { clientUrl, tls }: { readonly clientUrl: string; readonly tls: () => EtcdTls },
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
  schedule = HOURLY,
): Promise<void> {
  for (;;) {
    await sleep(schedule.lookEveryMs * (0.75 + 0.5 * Math.random()), { signal })
    try {
      const { caPem, certPem, keyPem } = tls()
      const metrics = await probeHttp(`${clientUrl}/metrics`, { signal, ca: caPem, cert: certPem, key: keyPem })
      const sizes = sizesOf(metrics)
      if (sizes !== undefined && isWorthDefragmenting(sizes, schedule)) await defragment(clientUrl, tls(), sizes, log)
    } catch (err) {
      signal.throwIfAborted()
      log.warn('etcd not defragmented', { err: errorMessage(err) })
    }
  }
}

async function defragment(clientUrl: string, tls: EtcdTls, before: EtcdSizes, log: Logger): Promise<void> {
  const { EtcdClient } = await import('#pkg/etcd/client.ts')
  await using client = new EtcdClient({ endpoints: [clientUrl], tls })
  const startedAt = performance.now()
  const lock = { ttlSeconds: 60, busy: 'another member is being defragmented' }
  await client.locked('k0s/members/defragment', lock, () => client.defragment())
  const durationMs = Math.round(performance.now() - startedAt)
  log.info('etcd defragmented', { sizeBytes: before.total, inUseBytes: before.inUse, durationMs })
}
