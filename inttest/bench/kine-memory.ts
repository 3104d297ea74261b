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
const WRITES_PER_SECOND = 1000
const LIMIT_MB = 300
const SAMPLE_MS = 1000
const NEWS_EVERY = 60

/**
 * `make bench-kine-memory`: the anonymous memory of ours on SQLite at its highest, with many objects, a watcher that does not
 * read, steady writes and the compactions of an API server. In the end the watcher reads and must miss nothing.
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
  const stalling = new Sampler(server)
  const result = await load(server, 'stall', {
    keys: KEYS,
    valueSize: VALUE_BYTES,
    seconds: STALL_SECONDS,
    rate: WRITES_PER_SECOND,
  })
  const stalled = stalling.stop()
  console.log(
    `writes: ${result.perSecond.toFixed(0)}/s, p99 ${result.p99.toFixed(1)} ms; the stalled watch: ${result.outcome ?? ''}`,
  )
  const figure = { name: '', of: () => 0, unit: 'MB', better: 'lower', limit: LIMIT_MB } as const
  const name = `RssAnon at most, ${String(KEYS)} objects, a stalled watcher for ${String(STALL_SECONDS)} s`
  report(`memory: ${name}`, figure, { ours: Math.max(filled, stalled) })
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
