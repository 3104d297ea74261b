import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { report } from '#inttest/bench/kine-figures.ts'
import { load } from '#inttest/bench/kine-load.ts'
import type { LoadResult } from '#inttest/bench/kine-load.ts'
import { ours } from '#inttest/bench/kine-servers.ts'
import type { BenchServer } from '#inttest/bench/kine-servers.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'

/** The history that is compacted: so many changes of so many keys. */
const KEYS = 5_000
const CHANGES = 40_000
const VALUE_BYTES = 2048
/** The load while nothing, and while everything, is compacted. */
const RATE = 200
const CALM_SECONDS = 5
/** Instances on a shared database wait ten seconds before rows go; then there must be writes still. */
const COMPACTING_SECONDS = 30
const COMPACTED_WITHIN_MS = 120_000
/** The same as for puts at 64 clients. */
const P99_LIMIT_MS = 40
/** Of the bytes before: what is left is one version of eight, and what has been written meanwhile. */
const IN_USE_LIMIT = 0.5
/** Of the bytes on disk: free space is used before the files grow. */
const REUSED_LIMIT = 1.1
const MIB = 1024 * 1024

/** What writes suffer while rows are deleted, and what space that gives back. */
export async function measureCompaction(store: string, dir: string, database: string): Promise<void> {
  await using server = await ours(join(dir, 'compaction'), database, ['--debug'])
  await server.start()
  await load(server, 'fill', { clients: 64, keys: KEYS, valueSize: VALUE_BYTES })
  // As fast as it goes: the rate is not to be reached.
  const unpaced = { keys: KEYS, valueSize: VALUE_BYTES, rate: CHANGES, seconds: 1 }
  await load(server, 'rate', unpaced)
  const calm = await load(server, 'rate', { ...unpaced, rate: RATE, seconds: CALM_SECONDS })
  const before = await sizeOf(server)
  const writing = load(server, 'rate', { ...unpaced, rate: RATE, seconds: COMPACTING_SECONDS })
  await compact(server)
  const { deleted, from, to } = await eventually('the rows are deleted', COMPACTED_WITHIN_MS, () => compacted(server))
  const during = within(await writing, from, to)
  const figure = { name: '', of: () => 0, better: 'lower' } as const
  const name = `${store} writes while ${String(deleted)} rows are deleted in ${((to - from) / 1000).toFixed(1)} s`
  report(`${name}, ${String(RATE)}/s: p50`, { ...figure, unit: 'ms' }, { ours: quantile(during, 0.5) })
  report(
    `${name}, ${String(RATE)}/s: p99`,
    { ...figure, unit: 'ms', limit: P99_LIMIT_MS },
    { ours: quantile(during, 0.99) },
  )
  report(`${store} the same writes before: p99`, { ...figure, unit: 'ms' }, { ours: calm.p99 })
  await measureSpace(store, server, before)
}

/** What the database says of itself: of what was in use before, and of its files when they are filled again. */
async function measureSpace(store: string, server: BenchServer, before: Size): Promise<void> {
  const figure = { name: '', of: () => 0, better: 'lower' } as const
  await call(server, 'Maintenance/Defragment', {})
  const after = await sizeOf(server)
  const inUse = { ...figure, unit: `of ${mebibytes(before.inUse)}`, limit: IN_USE_LIMIT }
  report(`${store} size in use after compaction and defragmentation`, inUse, { ours: after.inUse / before.inUse })
  const allocated = { ...figure, unit: `of ${mebibytes(before.allocated)}` }
  report(`${store} size on disk after them`, allocated, { ours: after.allocated / before.allocated })
  const largest = Math.max(before.allocated, after.allocated)
  await load(server, 'rate', { keys: KEYS, valueSize: VALUE_BYTES, rate: CHANGES / 2, seconds: 1 })
  const again = { ...figure, unit: `of ${mebibytes(largest)}`, limit: REUSED_LIMIT }
  const name = `${store} size on disk with half of the changes made again`
  report(name, again, { ours: (await sizeOf(server)).allocated / largest })
}

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`
}

interface Size {
  readonly allocated: number
  readonly inUse: number
}

async function sizeOf(server: BenchServer): Promise<Size> {
  const { dbSize, dbSizeInUse } = await call(server, 'Maintenance/Status', {})
  return { allocated: dbSize, inUse: dbSizeInUse }
}

async function compact(server: BenchServer): Promise<void> {
  const { header } = await call(server, 'KV/Range', { key: Buffer.from('x') })
  await call(server, 'KV/Compact', { revision: header.revision })
}

/** What the server's log says of the last compaction, times as of Date.now(). Rejects while there is none. */
async function compacted(server: BenchServer): Promise<{ deleted: number; from: number; to: number }> {
  const lines = (await readFile(join(server.dir, 'log'), 'utf8')).split('\n')
  const line = lines.findLast((each) => each.includes('msg=compacted'))
  const [, time = '', deleted, tookMs] = /time=(\S+) .*deleted=(\d+) durationMs=(\d+)/.exec(line ?? '') ?? []
  if (deleted === undefined) throw new Error('its log has no line of it')
  const to = Date.parse(time)
  return { deleted: Number(deleted), from: to - Number(tookMs), to }
}

function within({ samples = [] }: LoadResult, from: number, to: number): readonly number[] {
  // A write that was answered later had to wait through it, too.
  const during = samples.filter(([at, tookMs]) => at >= from && at - tookMs <= to)
  if (during.length === 0) throw new Error('there was no write during the compaction')
  return during.map(([, tookMs]) => tookMs)
}

function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))] ?? 0
}

async function call(server: BenchServer, method: string, request: object) {
  const client = new EtcdClient(server.endpoint)
  try {
    return await client.call(method, request)
  } finally {
    client.close()
  }
}
