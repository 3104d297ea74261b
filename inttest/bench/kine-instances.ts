import { join } from 'node:path'
import { report } from '#inttest/bench/kine-figures.ts'
import { load } from '#inttest/bench/kine-load.ts'
import { ours } from '#inttest/bench/kine-servers.ts'

/** Within this time another instance has seen a write, at p99: with notifications, and without (issue 4). */
const LIMIT_MS: Readonly<Record<string, number>> = { postgres: 50, mariadb: 300 }
/** Where many write, and where a write is a rare thing and whoever polls does so at ease. */
const RATES = [100, 5] as const
/** Writes at the lower rate are few: a percentile of them needs some time. */
const SECONDS = 20

/** Two instances on one database: how old an event is at the other one, counted from before its write was asked for. */
export async function measureInstances(store: string, dir: string, database: string): Promise<void> {
  await using writer = await ours(join(dir, 'instance-a'), database)
  await using watcher = await ours(join(dir, 'instance-b'), database)
  await writer.start()
  await watcher.start()
  for (const rate of RATES) {
    const options = { watchers: 1, rate, valueSize: 512, seconds: SECONDS, watchEndpoint: watcher.endpoint }
    const { p50, p99 } = await load(writer, 'watch', options)
    const name = `${store} age of an event at another instance, ${String(rate)} writes/s`
    const figure = { of: () => 0, unit: 'ms', better: 'lower' } as const
    report(`${name}: p50`, { ...figure, name: 'p50' }, { ours: p50 })
    report(`${name}: p99`, { ...figure, name: 'p99', limit: LIMIT_MS[store] ?? 0 }, { ours: p99 })
  }
}
