import { join } from 'node:path'
import { report } from '#inttest/bench/kine-figures.ts'
import { load } from '#inttest/bench/kine-load.ts'
import { memoryOf } from '#inttest/bench/kine-process.ts'
import { dataFolder, ours } from '#inttest/bench/kine-servers.ts'
import type { BenchServer } from '#inttest/bench/kine-servers.ts'

/** The size of the store, and how long a watch is not read while the store is written to. */
const KEYS = Number(process.env['KINE_KEYS'] ?? 200_000)
const VALUE_BYTES = 2048
const STALL_SECONDS = Number(process.env['KINE_STALL_SECONDS'] ?? 600)
const STALLS = [
  { rate: 1000, seconds: STALL_SECONDS },
  { rate: 2000, seconds: Math.min(60, STALL_SECONDS) },
] as const
const LIMIT_MB = 300
/** Of events to a watch that reads, beside the one that does not. */
const OTHERS_LIMIT_MS = 50
/** A list of large objects, read again and again while it is written to. */
const BIG = { keys: 10_000, valueSize: 20 * 1024, prefix: '/registry/big/' } as const
const BIG_RATE = 200
const BIG_SECONDS = Math.min(20, STALL_SECONDS)
const BIG_GROWTH_MB = 64
const SAMPLE_MS = 1000
const NEWS_EVERY = 60
const lower = { name: '', of: () => 0, better: 'lower' } as const

/**
 * `make bench-kine-memory`: the anonymous memory of ours on SQLite at its highest, with many objects, a watcher that does not
 * read, steady writes and the compactions of an API server. In the end the watcher reads and must miss nothing. Then the
 * same with a list of large objects, whose pages must be what the list is at their revision.
 */
async function main(): Promise<void> {
  await using data = await dataFolder('bench-kine-memory')
  const { dir } = data
  await using server = await ours(join(dir, 'ours'), `sqlite://${join(dir, 'ours', 'state.db')}`)
  await server.start()
  const filling = new Sampler(server)
  await load(server, 'fill', { clients: 64, keys: KEYS, valueSize: VALUE_BYTES })
  const filled = filling.stop()
  console.log(`${String(KEYS)} objects of ${String(VALUE_BYTES)} bytes are in: at most ${filled.toFixed(0)} MB RssAnon`)
  let highest = filled
  for (const stall of STALLS) highest = Math.max(highest, await measureStall(server, stall))
  const name = `RssAnon at most, ${String(KEYS)} objects, a stalled watcher for ${String(STALL_SECONDS)} s`
  report(`memory: ${name}`, { ...lower, unit: 'MB', limit: LIMIT_MB }, { ours: highest })
  await measureBigLists(dir)
}

/** @returns the highest RssAnon, megabytes */
async function measureStall(
  server: BenchServer,
  { rate, seconds }: { readonly rate: number; readonly seconds: number },
): Promise<number> {
  const stalling = new Sampler(server)
  const result = await load(server, 'stall', { keys: KEYS, valueSize: VALUE_BYTES, seconds, rate })
  const what = `a watch stalled for ${String(seconds)} s under ${String(rate)} writes/s`
  const writes = `${result.perSecond.toFixed(0)}/s, p99 ${result.p99.toFixed(1)} ms`
  console.log(`${what}: writes ${writes}; when it is read again it is ${result.outcome ?? ''}`)
  const others = { ...lower, unit: 'ms', limit: OTHERS_LIMIT_MS }
  report(`${what}: age of an event at another watch, p99`, others, { ours: result.others?.p99 ?? Number.NaN })
  return stalling.stop()
}

/** On a server of its own, so that what is in memory is what the list needs. */
async function measureBigLists(dir: string): Promise<void> {
  await using server = await ours(join(dir, 'big'), `sqlite://${join(dir, 'big', 'state.db')}`)
  await server.start()
  await load(server, 'fill', { clients: 16, ...BIG })
  const before = (await memoryOf(server.pid)).anonMb
  const listing = new Sampler(server)
  const { lists, p50, p99 } = await load(server, 'biglist', { ...BIG, rate: BIG_RATE, seconds: BIG_SECONDS })
  const highest = listing.stop()
  const what = `${String(BIG.keys)} keys of ${String(BIG.valueSize / 1024)} KiB, ${String(BIG_RATE)} writes/s`
  console.log(
    `${what}: ${String(lists)} lists in pages were the list at their revision; a page p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
  )
  report(
    `memory: RssAnon at most while ${what} are listed`,
    { ...lower, unit: 'MB', limit: LIMIT_MB },
    { ours: highest },
  )
  const growth = { ...lower, unit: 'MB', limit: BIG_GROWTH_MB }
  report(`memory: growth while ${what} are listed`, growth, { ours: Math.max(0, highest - before) })
}

/** Looks at the memory of a server every second. */
class Sampler {
  readonly #timer: NodeJS.Timeout
  #highestMb = 0
  #samples = 0

  constructor(server: BenchServer) {
    const sample = async (): Promise<void> => {
      const { anonMb, rssMb } = await memoryOf(server.pid)
      this.#highestMb = Math.max(this.#highestMb, anonMb)
      this.#samples += 1
      if (this.#samples % NEWS_EVERY === 0) {
        console.log(`  ${String(this.#samples)} s: ${anonMb.toFixed(0)} MB RssAnon, ${rssMb.toFixed(0)} MB RSS`)
      }
    }
    // A server that has ended is told of by the load that fails.
    this.#timer = setInterval(() => void sample().catch(() => undefined), SAMPLE_MS).unref()
  }

  /** @returns the highest RssAnon seen, megabytes */
  stop(): number {
    clearInterval(this.#timer)
    return this.#highestMb
  }
}

await main()
