import { readdir, readFile, readlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { k0sExecutable, namesOf } from '#inttest/common/names.ts'

/** How long the cluster rests before its memory is read. */
const IDLE_MS = 180_000

/**
 * Measured once on a two-core machine: k0s 1.36.3 as a single node on SQLite. Its binary is not to be had where this
 * runs, so the peer is that record, not the same run.
 */
const peerSeconds = { readyz: 5.0, 'worker Ready': 18, 'kubectl top': 52 } as const
const PEER_PSS_MB = 944

/** Milestones in seconds after exec, with their targets. */
const targets = {
  readyz: 4.5,
  'worker Ready': 10,
  'CoreDNS Available': 15,
  'metrics-server Available': 25,
  'kubectl top': 26,
} as const
type Milestone = keyof typeof targets

/** `make bench-startup`: one host, `controller --enable-worker --no-taints`, the second (warm) start of fresh data. */
async function main(): Promise<void> {
  const shape = { workers: 0, controllerArgs: ['--enable-worker', '--no-taints'] }
  const instance = 'bench-startup'
  const cluster = new Cluster({ instance, dir: join(tmpdir(), namesOf(instance).prefix), ...shape })
  await cluster.down()
  try {
    await cluster.network.create()
    const host = cluster.controller
    await coldStart(cluster, host)
    const reached = await measure(host, shape.controllerArgs)
    for (const name of Object.keys(targets) as Milestone[])
      report(name, reached[name], targets[name], 's', peerOf(name))
    console.log(`resting ${String(IDLE_MS / 1000)} s before reading the memory`)
    await sleep(IDLE_MS)
    await reportMemory(host)
    await reportLatency(host)
  } finally {
    await cluster.down()
  }
}

/** Fills the page cache and stages the executables, so that the measured run is a warm one; its data is reset. */
async function coldStart(cluster: Cluster, host: Host): Promise<void> {
  await host.boot()
  await cluster.startController()
  await host.k0s(['stop'])
  await eventually('the first run has ended', 60_000, async () => {
    if ((await host.processes()).some(({ argv }) => argv.some((arg) => arg.endsWith('main.mjs'))))
      throw new Error('still running')
  })
  await host.must([k0sExecutable, 'reset'], { timeoutMs: 120_000 })
}

async function measure(host: Host, args: readonly string[]): Promise<Record<Milestone, number>> {
  const began = performance.now()
  await host.spawn([k0sExecutable, 'controller', ...args], 'k0s')
  const reached: Partial<Record<Milestone, number>> = {}
  const available = (name: string): readonly string[] => [
    ...[
      'get',
      'deployment',
      name,
      '-n',
      'kube-system',
      '-o',
      'jsonpath={.status.conditions[?(@.type=="Available")].status}',
    ],
  ]
  const probes: readonly (readonly [Milestone, readonly string[], RegExp])[] = [
    ['readyz', ['get', '--raw', '/readyz'], /^ok$/],
    [
      'worker Ready',
      ['get', 'nodes', '-o', 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'],
      /^True$/,
    ],
    ['CoreDNS Available', available('coredns'), /^True$/],
    ['metrics-server Available', available('metrics-server'), /^True$/],
    ['kubectl top', ['top', 'nodes', '--no-headers'], /\d+m/],
  ]
  for (const [name, argv, expected] of probes) {
    await eventually(name, 180_000, async () => {
      const { code, stdout } = await host.k0s(['kubectl', ...argv])
      if (code !== 0 || !expected.test(stdout)) throw new Error(stdout)
    })
    reached[name] = (performance.now() - began) / 1000
  }
  return reached as Record<Milestone, number>
}

function peerOf(name: Milestone): number | undefined {
  return name in peerSeconds ? peerSeconds[name as keyof typeof peerSeconds] : undefined
}

/** The line every benchmark prints; lower is better for all figures here. */
function report(name: string, ours: number, target: number, unit: string, peer?: number): void {
  const versus = peer === undefined ? '' : ` peer ${peer.toFixed(1)} ${unit}, ratio ${(ours / peer).toFixed(2)},`
  console.log(
    `startup ${name}: ours ${ours.toFixed(1)} ${unit},${versus} target ${String(target)}, ${ours <= target ? 'held' : 'missed'}`,
  )
}

/** Proportional set size of every process of the host, by program. */
async function reportMemory(host: Host): Promise<void> {
  const namespace = await readlink(`/proc/${String(host.initPid)}/ns/pid`)
  const byProgram = new Map<string, number>()
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      // Pods have PID namespaces below the host's: what counts is who shares the host's network's parent, its cgroup.
      const group = await readFile(`/proc/${pid}/cgroup`, 'utf8')
      const own = await readlink(`/proc/${pid}/ns/pid`)
      if (own !== namespace && !group.includes('kubepods')) continue
      const pss = Number(/^Pss: +(\d+)/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024
      const name = await programName(pid)
      byProgram.set(name, (byProgram.get(name) ?? 0) + pss)
    } catch {
      continue // it ended meanwhile
    }
  }
  const rows = [...byProgram].sort(([, a], [, b]) => b - a)
  for (const [name, mb] of rows) console.log(`  ${mb.toFixed(1).padStart(7)} MB  ${name}`)
  report(
    'PSS of all processes',
    rows.reduce((sum, [, mb]) => sum + mb, 0),
    800,
    'MB',
    PEER_PSS_MB,
  )
}

async function programName(pid: string): Promise<string> {
  const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
  const script = argv.findIndex((arg) => arg.endsWith('main.mjs'))
  if (script >= 0) return `k0s ${argv[script + 1] ?? ''}`
  return (await readFile(`/proc/${pid}/comm`, 'utf8')).trim()
}

/** What tuning the Go heaps must not cost: the time of a list and of a write, as kubectl's server sees them. */
async function reportLatency(host: Host): Promise<void> {
  const metrics = await host.must([k0sExecutable, 'kubectl', 'get', '--raw', '/metrics'])
  for (const verb of ['LIST', 'PUT', 'POST']) {
    let sum = 0
    let count = 0
    for (const line of metrics.split('\n')) {
      if (!line.includes(`verb="${verb}"`)) continue
      if (line.startsWith('apiserver_request_sli_duration_seconds_sum')) sum += Number(line.split(' ').at(-1))
      if (line.startsWith('apiserver_request_sli_duration_seconds_count')) count += Number(line.split(' ').at(-1))
    }
    console.log(`startup API ${verb}: mean ${((1000 * sum) / count).toFixed(1)} ms over ${String(count)} requests`)
  }
}

await main()
