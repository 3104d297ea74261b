import { loadavg } from 'node:os'
import { join } from 'node:path'
import { measureCompaction } from '#inttest/bench/kine-compaction.ts'
import { readScenarios, report, tally, writeScenarios } from '#inttest/bench/kine-figures.ts'
import type { Figure, Scenario } from '#inttest/bench/kine-figures.ts'
import { measureInstances } from '#inttest/bench/kine-instances.ts'
import { load, withSessions } from '#inttest/bench/kine-load.ts'
import type { LoadResult } from '#inttest/bench/kine-load.ts'
import { cpuPercent, memoryOf } from '#inttest/bench/kine-process.ts'
import { runEtcdTool } from '#inttest/bench/kine-etcd-tool.ts'
import { dataFolder, etcd, ours, upstream, upstreamSqlite } from '#inttest/bench/kine-servers.ts'
import type { BenchServer } from '#inttest/bench/kine-servers.ts'
import { fillUpstreamSqlite } from '#inttest/bench/kine-upstream-fill.ts'
import { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'

/** Stores to measure, of sqlite, postgres, mariadb. */
const STORES = (process.env['KINE_STORES'] ?? 'sqlite,postgres,mariadb').split(',')
/** Measured seconds of one load against one server, and how often all servers take their turn with it. */
const SECONDS = Number(process.env['KINE_SECONDS'] ?? 4)
const ROUNDS = Number(process.env['KINE_ROUNDS'] ?? 2)
/** Keys below the reads. */
const KEYS = Number(process.env['KINE_KEYS'] ?? 100_000)
/** Upstream kine opens as many connections to a database as it has requests. */
const CONNECTIONS = '400'
const IDLE_SESSIONS = 200
const IDLE_SETTLE_SECONDS = 3
const IDLE_SECONDS = Math.max(2, 2 * SECONDS)
const VALUE_BYTES = 512
/** Of puts at 64 clients on SQLite. */
const P99_LIMIT_MS = 40

/** `make bench-kine`: the servers side by side, one under load at a time, each database and log on the same disk. */
async function main(): Promise<void> {
  const began = performance.now()
  await using data = await dataFolder('bench-kine')
  const { dir } = data
  console.log(`load average ${loadavg()[0]?.toFixed(1) ?? ''} before the run; ratios of a busy machine say little`)
  if (STORES.includes('sqlite')) await measureSqlite(join(dir, 'sqlite'))
  if (STORES.includes('postgres')) {
    await using server = await PostgresServer.start({ fsync: true, settings: { max_connections: CONNECTIONS } })
    await measureDatabase('postgres', join(dir, 'postgres'), server)
  }
  if (STORES.includes('mariadb')) {
    await using server = await MariadbServer.start({ fsync: true, settings: { 'max-connections': CONNECTIONS } })
    await measureDatabase('mariadb', join(dir, 'mariadb'), server)
  }
  const minutes = ((performance.now() - began) / 60_000).toFixed(1)
  console.log(`bench-kine: ${String(tally.held)} held, ${String(tally.missed)} missed, ${minutes} minutes`)
}

/** Ours with synchronous=FULL, upstream kine with the same and with its own default, etcd with fsync. */
async function measureSqlite(dir: string): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const add = (server: BenchServer): BenchServer => stack.use(server)
  const upstreamFile = join(dir, 'upstream', 'state.db')
  const mine = add(await ours(join(dir, 'ours'), `sqlite://${join(dir, 'ours', 'state.db')}`))
  const peer = add(await upstream(join(dir, 'upstream'), upstreamSqlite(upstreamFile, 'FULL')))
  const lax = add(await upstream(join(dir, 'lax'), upstreamSqlite(join(dir, 'lax', 'state.db'), 'NORMAL')))
  const real = add(await etcd(join(dir, 'etcd')))
  const peers = new Map([
    ['upstream kine', peer],
    ['upstream kine (synchronous=NORMAL)', lax],
    ['etcd', real],
  ])
  for (const server of [mine, ...peers.values()]) await server.start()
  for (const scenario of writeScenarios(6, P99_LIMIT_MS)) await measure('sqlite', scenario, mine, peers)
  await lax.stop()
  peers.delete('upstream kine (synchronous=NORMAL)')
  await peer.stop()
  fillUpstreamSqlite(upstreamFile, KEYS, VALUE_BYTES)
  await peer.start()
  for (const server of [mine, real]) await load(server, 'fill', { clients: 64, keys: KEYS, valueSize: VALUE_BYTES })
  for (const scenario of readScenarios(KEYS)) await measure('sqlite', scenario, mine, peers)
  await measureIdle('sqlite', mine, peers)
  await runEtcdTool(mine)
  for (const server of [mine, ...peers.values()]) await server.stop()
  await measureCompaction('sqlite', dir, `sqlite://${join(dir, 'compaction', 'state.db')}`)
}

/**
 * Writes of ours and of upstream kine, each in a database of its own on one server, which syncs every commit; then what
 * ours does with two instances, and while it compacts.
 */
async function measureDatabase(
  store: string,
  dir: string,
  database: { readonly createDatabase: () => Promise<string> },
): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const mine = stack.use(await ours(join(dir, 'ours'), await database.createDatabase()))
  // pgx asks for TLS by default, which costs round trips at the start only; this server has none.
  const parameters = store === 'postgres' ? '?sslmode=disable' : ''
  const peer = stack.use(await upstream(join(dir, 'upstream'), (await database.createDatabase()) + parameters))
  for (const server of [mine, peer]) await server.start()
  for (const scenario of writeScenarios(3)) await measure(store, scenario, mine, new Map([['upstream kine', peer]]))
  for (const server of [mine, peer]) await server.stop()
  await measureInstances(store, dir, await database.createDatabase())
  await measureCompaction(store, dir, await database.createDatabase())
}

/** Runs one load against one server after the other, round by round, and prints the means. */
async function measure(
  store: string,
  scenario: Scenario,
  mine: BenchServer,
  peers: ReadonlyMap<string, BenchServer>,
): Promise<void> {
  const results = new Map<BenchServer, LoadResult[]>()
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const server of [mine, ...peers.values()]) {
      const result = await load(server, scenario.kind, { seconds: SECONDS, ...scenario.options })
      results.set(server, [...(results.get(server) ?? []), result])
    }
  }
  for (const figure of scenario.figures) {
    const mean = (server: BenchServer): number => {
      const values = (results.get(server) ?? []).map(figure.of)
      return values.reduce((sum, value) => sum + value, 0) / values.length
    }
    reportAll(`${store} ${scenario.name}: ${figure.name}`, figure, mean(mine), mapValues(peers, mean))
  }
}

/** What the servers cost when nothing happens, with the keys of the reads in them. */
async function measureIdle(store: string, mine: BenchServer, peers: ReadonlyMap<string, BenchServer>): Promise<void> {
  const idle = async (server: BenchServer) =>
    withSessions(server.endpoint, IDLE_SESSIONS, async () => {
      await cpuPercent(server.pid, IDLE_SETTLE_SECONDS)
      return { cpu: await cpuPercent(server.pid, IDLE_SECONDS), ...(await memoryOf(server.pid)) }
    })
  const own = await idle(mine)
  const others = new Map<string, Awaited<ReturnType<typeof idle>>>()
  for (const [name, server] of peers) others.set(name, await idle(server))
  const line = (name: string, unit: string, of: (value: typeof own) => number): void => {
    const figure: Figure = { name, of: () => 0, unit, better: 'lower' }
    reportAll(`${store} ${String(IDLE_SESSIONS)} idle sessions: ${name}`, figure, of(own), mapValues(others, of))
  }
  line('CPU', '% of a core', ({ cpu }) => cpu)
  line('RSS', 'MB', ({ rssMb }) => rssMb)
  line('PSS', 'MB', ({ pssMb }) => pssMb)
  line('RssAnon', 'MB', ({ anonMb }) => anonMb)
}

function reportAll(name: string, figure: Figure, own: number, peers: ReadonlyMap<string, number>): void {
  for (const [peer, value] of peers) report(name, figure, { ours: own, peer: { name: peer, value } })
  if (figure.limit !== undefined) report(name, figure, { ours: own })
}

function mapValues<V, W>(map: ReadonlyMap<string, V>, of: (value: V) => W): Map<string, W> {
  return new Map([...map].map(([key, value]) => [key, of(value)]))
}

await main()
