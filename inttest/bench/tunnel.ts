import { writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import net from 'node:net'
import { join } from 'node:path'
import { dataFolder } from '#inttest/bench/kine-servers.ts'
import { cpuPercent, cpuSeconds, memoryOf } from '#inttest/bench/kine-process.ts'
import { mean, report, tally } from '#inttest/bench/tunnel-figures.ts'
import { dialRate, roundTrips, startEndpoint, transfer } from '#inttest/bench/tunnel-load.ts'
import { ours, Program, relays, startServer, tunnel, upstream } from '#inttest/bench/tunnel-programs.ts'
import type { Surroundings, TunnelPair } from '#inttest/bench/tunnel-programs.ts'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'

/** What one transfer moves, MiB, and how often all take their turn. */
const MIB = Number(process.env['TUNNEL_MIB'] ?? 512)
const ROUNDS = Number(process.env['TUNNEL_ROUNDS'] ?? 3)
const DIALS = Number(process.env['TUNNEL_DIALS'] ?? 2000)
const ROUND_TRIPS = Number(process.env['TUNNEL_ROUND_TRIPS'] ?? 2000)
/** Parts to run, of throughput, dials, rtt, agents. */
const PARTS = (process.env['TUNNEL_PARTS'] ?? 'throughput,dials,rtt,agents').split(',')
const IDLE_SECONDS = 10
const AGENTS = [1, 100, 1000] as const
const MEMORY_LIMIT_MB = 40
const ADDED_LIMIT_MS = 1

/** Least share of the bare relay's throughput, and of upstream's; greatest share of upstream's CPU. */
const targets: Readonly<Record<string, { readonly rate: number; readonly cpu?: number }>> = {
  'bare relay': { rate: 0.5 },
  upstream: { rate: 1, cpu: 1 },
}

/** `make bench-tunnel`: CONNECT over a unix socket, mTLS to the agent, all on loopback; one tunnel under load at a time. */
async function main(): Promise<void> {
  console.log(`load average ${loadavg()[0]?.toFixed(1) ?? ''} before the run; ratios of a busy machine say little`)
  await using data = await dataFolder('bench-tunnel')
  await using endpoint = await startEndpoint()
  const where = { dir: data.dir, endpointPort: endpoint.port }
  await writeCertificates(data.dir)
  {
    await using stack = new AsyncDisposableStack()
    // Who is started first has been seen to be faster, whoever it is: that is not to be ours.
    const programs = upstream()
    const upstreams = programs === undefined ? [] : [stack.use(await tunnel('upstream', programs, where))]
    const peers = [stack.use(await relays(where)), ...upstreams]
    const mine = stack.use(await tunnel('ours', ours, where))
    if (PARTS.includes('throughput')) await measureThroughput(mine, peers)
    if (PARTS.includes('dials')) await measureDials(mine, peers)
    if (PARTS.includes('rtt')) await measureRoundTrips(mine, peers, where)
  }
  if (PARTS.includes('agents')) await measureAgents(where)
  console.log(`bench-tunnel: ${String(tally.held)} held, ${String(tally.missed)} missed`)
}

async function writeCertificates(dir: string): Promise<void> {
  const validForMs = 24 * 3_600_000
  const ca = createCa({ commonName: 'bench-ca', validForMs })
  await writeFile(join(dir, 'ca.crt'), ca.certPem)
  const names = { server: 'konnectivity-server', agent: 'k0s:tunnel-agent:bench', relay: 'relay' }
  for (const [file, commonName] of Object.entries(names)) {
    const organizations = file === 'agent' ? ['k0s:tunnel-agents'] : []
    const request = { commonName, organizations, ips: ['127.0.0.1'], dnsNames: [], validForMs }
    const { certPem, keyPem } = issueCertificate(ca, { ...request, usages: ['server', 'client'] })
    await writeFile(join(dir, `${file}.crt`), certPem)
    await writeFile(join(dir, `${file}.key`), keyPem)
  }
}

async function measureThroughput(mine: TunnelPair, peers: readonly TunnelPair[]): Promise<void> {
  for (const connections of [1, 16, 128]) {
    // One connection each way at the least.
    for (const direction of connections === 1 ? (['down', 'up'] as const) : (['down', 'up', 'both'] as const)) {
      const samples = await inTurns([mine, ...peers], async (pair) => {
        const before = await cpuOf(pair)
        const seconds = await transfer(pair.dial, direction, MIB, connections)
        return { rate: (MIB * 2 ** 20) / 1e6 / seconds, cpu: ((await cpuOf(pair)) - before) / (MIB / 1024) }
      })
      const name = `tunnel ${direction === 'both' ? 'both ways' : direction}, ${String(connections)} connection${connections === 1 ? '' : 's'}`
      const [own] = samples
      for (const { pair, results } of samples.slice(1)) {
        const { rate, cpu } = targets[pair.name] ?? {}
        for (const [figure, unit, better, target] of [
          ['rate', 'MB/s', 'higher', rate],
          ['cpu', 's CPU/GiB', 'lower', cpu],
        ] as const) {
          const of = (list: readonly { readonly rate: number; readonly cpu: number }[]): number =>
            mean(list.map((result) => result[figure]))
          const peer = { name: pair.name, value: of(results) }
          report(`${name}, ${figure}`, { unit, better, target }, of(own?.results ?? []), peer)
        }
      }
    }
  }
}

async function measureDials(mine: TunnelPair, peers: readonly TunnelPair[]): Promise<void> {
  for (const parallel of [1, 32]) {
    const count = parallel === 1 ? DIALS / 4 : DIALS
    const samples = await inTurns([mine, ...peers], (pair) => dialRate(pair.dial, count, parallel))
    for (const { pair, results } of samples.slice(1)) {
      const judgement = { unit: 'dials/s', better: 'higher', target: targets[pair.name]?.rate } as const
      const peer = { name: pair.name, value: mean(results) }
      report(`tunnel dials, ${String(parallel)} at a time`, judgement, mean(samples[0]?.results ?? []), peer)
    }
  }
}

async function measureRoundTrips(mine: TunnelPair, peers: readonly TunnelPair[], where: Surroundings): Promise<void> {
  const plain = await roundTrips(() => Promise.resolve(net.connect(where.endpointPort, '127.0.0.1')), ROUND_TRIPS)
  const samples = await inTurns([mine, ...peers], (pair) => roundTrips(pair.dial, ROUND_TRIPS))
  for (const share of [0.5, 0.99]) {
    const at = (times: readonly number[]): number => times[Math.floor(times.length * share)] ?? 0
    const added = (results: readonly (readonly number[])[]): number => mean(results.map(at)) - at(plain)
    const name = `tunnel added round trip, idle, p${String(share * 100)}`
    const own = added(samples[0]?.results ?? [])
    report(name, { unit: 'ms', better: 'lower', target: ADDED_LIMIT_MS }, own)
    for (const { pair, results } of samples.slice(1)) {
      const target = pair.name === 'upstream' ? 1 : undefined
      report(name, { unit: 'ms', better: 'lower', target }, own, { name: pair.name, value: added(results) })
    }
  }
}

/** What agents cost a server that does nothing else; upstream's gets the same agents. */
async function measureAgents({ dir }: Surroundings): Promise<void> {
  const programs = upstream()
  for (const count of AGENTS) {
    const mine = await costOfAgents('ours', ours.server, count, dir)
    const theirs = programs === undefined ? undefined : await costOfAgents('upstream', programs.server, count, dir)
    const name = `tunnel server, ${String(count)} agent${count === 1 ? '' : 's'}`
    for (const [figure, unit, limit] of [
      ['anonMb', 'MB RssAnon', count === 100 ? MEMORY_LIMIT_MB : undefined],
      ['rssMb', 'MB RSS', undefined],
      ['idle', '% of a core idle', undefined],
    ] as const) {
      report(name, { unit, better: 'lower', target: limit }, mine[figure])
      if (theirs === undefined) continue
      const peer = { name: 'upstream', value: theirs[figure] }
      report(name, { unit, better: 'lower', target: figure === 'rssMb' ? 1 : undefined }, mine[figure], peer)
    }
  }
}

async function costOfAgents(
  name: string,
  server: readonly string[],
  count: number,
  dir: string,
): Promise<{ readonly anonMb: number; readonly rssMb: number; readonly idle: number }> {
  await using stack = new AsyncDisposableStack()
  const { program, agentPort } = await startServer(name, server, dir)
  stack.use(program)
  const script = join(import.meta.dirname, 'tunnel-agents.ts')
  const argv = [process.execPath, script, String(agentPort), String(count), dir]
  const agents = stack.use(new Program(argv, join(dir, `agents-${name}-${String(count)}.log`)))
  await agents.announced()
  // The time also lets the garbage of the handshakes go.
  const idle = await cpuPercent(program.pid, IDLE_SECONDS)
  return { ...(await memoryOf(program.pid)), idle }
}

/** Runs `measure` for each pair in turn, several rounds, so that what else the machine does meets all of them. */
async function inTurns<T>(
  pairs: readonly TunnelPair[],
  measure: (pair: TunnelPair) => Promise<T>,
): Promise<{ readonly pair: TunnelPair; readonly results: readonly T[] }[]> {
  const samples = pairs.map((pair) => ({ pair, results: [] as T[] }))
  for (let round = 0; round < ROUNDS; round += 1) {
    // Each round begins with another one.
    const first = round % samples.length
    const turns = [...samples.slice(first), ...samples.slice(0, first)]
    for (const { pair, results } of turns) results.push(await measure(pair))
  }
  return samples
}

async function cpuOf({ programs }: TunnelPair): Promise<number> {
  const seconds = await Promise.all(programs.map(({ pid }) => cpuSeconds(pid)))
  return seconds.reduce((sum, value) => sum + value, 0)
}

await main()
