import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pssByProgram } from '#inttest/bench/host-memory.ts'
import { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { k0sExecutable, namesOf } from '#inttest/common/names.ts'
import { etcdLeader } from '#inttest/ha/etcd-leader.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'
import { killAll, writesGoOn } from '#inttest/ha/surviving.ts'
import { LoopbackWriter } from '#inttest/ha/writer.ts'

/** How long the controller rests before its memory is read. */
const IDLE_MS = Number(process.env['IDLE_MS'] ?? 180_000)
const KILLS = Number(process.env['HA_KILLS'] ?? 10)
/** `HA_PARTS=memory,failover`; all by default. */
const parts = new Set((process.env['HA_PARTS'] ?? 'memory,join,failover').split(','))
/** How long writes have to go on before a failover counts as over. */
const STEADY_MS = 5_000
const CONTROLLERS = 3
const WORKERS = 3

/** `make bench-ha`: a controller alone, hosts that join it, and controllers killed under a writer of 50 objects a second. */
async function main(): Promise<void> {
  const instance = 'bench-ha'
  const dir = join(tmpdir(), namesOf(instance).prefix)
  const cluster = new Cluster({ instance, dir, images: [], controllers: CONTROLLERS, workers: WORKERS })
  await cluster.down()
  try {
    await cluster.network.create()
    for (const host of [...cluster.controllers, ...cluster.workers]) await host.boot()
    await warm(cluster)
    await cluster.startController()
    if (parts.has('memory')) await measureMemory(cluster.controller)
    await measureJoins(cluster)
    if (parts.has('failover')) await measureFailover(cluster)
  } finally {
    await cluster.down()
  }
}

/** Fills the page cache: a host whose disk has never been read measures the disk. The host is new again afterwards. */
async function warm(cluster: Cluster): Promise<void> {
  await cluster.startController()
  await cluster.join(cluster.worker)
  for (const host of [cluster.worker, cluster.controller]) {
    await host.must([k0sExecutable, 'stop'])
    await eventually(`k0s on ${host.name} has ended`, 60_000, async () => {
      assert.ok(!(await host.processes()).some(({ argv }) => argv.some((arg) => arg.endsWith('main.mjs'))))
    })
    await host.must([k0sExecutable, 'reset'], { timeoutMs: 120_000 })
  }
}

async function measureMemory(host: Host): Promise<void> {
  console.log(`resting ${String(IDLE_MS / 1_000)} s before reading the memory`)
  await sleep(IDLE_MS)
  const rows = await pssByProgram(host)
  for (const [name, mb] of rows) console.log(`  ${mb.toFixed(1).padStart(7)} MB  ${name}`)
  const sum = rows.reduce((total, [, mb]) => total + mb, 0)
  report('PSS of a controller alone', sum, 480, 'MB')
}

/** Exec to Ready of each host, one after another: a controller that votes and serves, a worker whose Node is Ready. */
async function measureJoins(cluster: Cluster): Promise<void> {
  const timed = async (what: () => Promise<void>): Promise<number> => {
    const began = performance.now()
    await what()
    return (performance.now() - began) / 1_000
  }
  const measured = parts.has('join')
  const workers: number[] = []
  for (const host of measured ? cluster.workers : [cluster.worker]) {
    await host.write('/etc/k0s/token', await cluster.token('worker'))
    workers.push(
      await timed(async () => {
        await host.spawn([k0sExecutable, 'worker', '--token-file', '/etc/k0s/token'], 'k0s')
        await cluster.untilNodesReady([host.name])
      }),
    )
  }
  const controllers: number[] = []
  for (const host of cluster.controllers.slice(1)) {
    await host.write('/etc/k0s/token', await cluster.token('controller'))
    const args = ['controller', '--token-file', '/etc/k0s/token']
    controllers.push(await timed(() => cluster.start(host, args)))
  }
  if (!measured) return
  const list = (seconds: readonly number[]): string => seconds.map((value) => value.toFixed(1)).join(', ')
  console.log(`joins of workers: ${list(workers)} s; of controllers: ${list(controllers)} s`)
  report('join of a worker, slowest', Math.max(...workers), 12, 's')
  report('join of a controller, slowest', Math.max(...controllers), 25, 's')
}

/** Kills by turns the controller that serves the writer and the leader of etcd; each is there again before the next. */
async function measureFailover(cluster: Cluster): Promise<void> {
  await using writer = new LoopbackWriter(cluster, cluster.worker)
  await writer.start()
  await writesGoOn(writer)
  const gaps: number[] = []
  for (let kill = 0; kill < KILLS; kill += 1) {
    const [role, find] =
      kill % 2 === 0 ? (['serves the writer', serving] as const) : (['leads etcd', etcdLeader] as const)
    const victim = await find(cluster)
    const beganMs = monotonicMs()
    await killAll(victim)
    await writesGoOn(writer, { fromMs: beganMs + STEADY_MS })
    const gap = (await writer.longestGapMs(beganMs)) / 1_000
    gaps.push(gap)
    console.log(`kill ${String(kill + 1)}: ${victim.name}, which ${role}: no write for ${gap.toFixed(2)} s`)
    await cluster.restart(victim)
    await whole(cluster)
  }
  await writer.verify()
  const sorted = gaps.toSorted((a, b) => a - b)
  report(`failover gap, p50 of ${String(KILLS)} kills`, sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN, 5, 's')
  report(`failover gap, max of ${String(KILLS)} kills`, sorted.at(-1) ?? NaN, 5, 's')
}

/** Until every controller serves, and etcd has all its members. */
async function whole(cluster: Cluster): Promise<void> {
  await eventually('all controllers serve', 60_000, async () => {
    for (const host of cluster.controllers) {
      await host.must([k0sExecutable, 'kubectl', 'get', '--raw', '/readyz', '--request-timeout=5s'])
    }
  })
  await sleep(STEADY_MS) // etcd counts a member as connected after five seconds
}

/** The controller that the worker's load balancer sends the writer's requests to: by the bytes of two looks. */
async function serving(cluster: Cluster): Promise<Host> {
  const look = async (): Promise<Map<string, number>> => {
    const text = await cluster.worker.must(['ss', '-tnOi', 'state', 'established', 'dport = :6443'])
    const sent = text.split('\n').flatMap((line) => {
      const [, local = '', peer = ''] = /(\S+:\d+)\s+(\S+):6443/.exec(line) ?? []
      const bytes = Number(/bytes_sent:(\d+)/.exec(line)?.[1] ?? 0)
      return peer === '' ? [] : [[`${local} ${peer}`, bytes] as const]
    })
    return new Map(sent)
  }
  const before = await look()
  await sleep(1_000)
  const grown = [...(await look())].map(([key, bytes]) => [key, bytes - (before.get(key) ?? 0)] as const)
  const busiest = grown
    .toSorted(([, a], [, b]) => b - a)[0]?.[0]
    .split(' ')[1]
    ?.replace(/^\[|\]$/g, '')
  const host = cluster.controllers.find(({ address }) => address === busiest)
  if (host === undefined) throw new Error(`the worker sends to ${busiest ?? 'nobody'}, which is no controller`)
  return host
}

/** The line every benchmark prints; lower is better for all figures here. */
function report(name: string, ours: number, target: number, unit: string): void {
  const verdict = ours <= target ? 'held' : 'missed'
  console.log(
    `ha ${name}: ours ${ours.toFixed(unit === 's' ? 2 : 1)} ${unit}, target ${String(target)} ${unit}, ${verdict}`,
  )
}

await main()
