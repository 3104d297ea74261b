import { once } from 'node:events'
import https from 'node:https'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pssByProgram } from '#inttest/bench/host-memory.ts'
import { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { loadKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import { k0sExecutable, namesOf } from '#inttest/common/names.ts'

/** How long the cluster rests before its memory is read. */
const IDLE_MS = Number(process.env['IDLE_MS'] ?? 180_000)

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
  const cluster = new Cluster({ instance, dir: join(tmpdir(), namesOf(instance).prefix), images: [], ...shape })
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

/** Polls with plain requests: a kubectl for each look would take a core from what is measured. */
async function measure(host: Host, args: readonly string[]): Promise<Record<Milestone, number>> {
  const began = performance.now()
  await host.spawn([k0sExecutable, 'controller', ...args], 'k0s')
  const reached: Partial<Record<Milestone, number>> = {}
  const api = new Api(host)
  const deployments = '/apis/apps/v1/namespaces/kube-system/deployments'
  const probes: readonly (readonly [Milestone, () => Promise<boolean>])[] = [
    ['readyz', async () => (await api.get('/readyz')) === 'ok'],
    ['worker Ready', async () => isTrue(JSON.parse(await api.get('/api/v1/nodes')).items[0], 'Ready')],
    ['CoreDNS Available', async () => isTrue(JSON.parse(await api.get(`${deployments}/coredns`)), 'Available')],
    [
      'metrics-server Available',
      async () => isTrue(JSON.parse(await api.get(`${deployments}/metrics-server`)), 'Available'),
    ],
    [
      'kubectl top',
      async () => (await host.must([k0sExecutable, 'kubectl', 'top', 'nodes', '--no-headers'])).includes('m'),
    ],
  ]
  for (const [name, probe] of probes) {
    await eventually(name, 180_000, async () => {
      if (!(await probe())) throw new Error('not yet')
    })
    reached[name] = (performance.now() - began) / 1000
  }
  return reached as Record<Milestone, number>
}

interface Conditioned {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

function isTrue(object: Conditioned | undefined, condition: string): boolean {
  return object?.status?.conditions?.some(({ type, status }) => type === condition && status === 'True') ?? false
}

/** Requests as the cluster's administrator, from the machine. */
class Api {
  readonly #host: Host

  constructor(host: Host) {
    this.#host = host
  }

  async get(path: string): Promise<string> {
    const { caPem, certPem, keyPem } = await loadKubeconfig(this.#host.diskPath('/var/lib/k0s/pki/admin.conf'))
    const options = {
      host: this.#host.address,
      port: 6443,
      path,
      ca: caPem,
      cert: certPem,
      key: keyPem,
      agent: false as const,
    }
    const [response] = (await once(https.get(options), 'response')) as [IncomingMessage]
    const body = (await response.toArray()).join('')
    if (response.statusCode !== 200) throw new Error(`${path}: ${String(response.statusCode)}`)
    return body
  }
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
  const rows = await pssByProgram(host)
  for (const [name, mb] of rows) console.log(`  ${mb.toFixed(1).padStart(7)} MB  ${name}`)
  report(
    'PSS of all processes',
    rows.reduce((sum, [, mb]) => sum + mb, 0),
    800,
    'MB',
    PEER_PSS_MB,
  )
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
