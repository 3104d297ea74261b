import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Cluster } from '#inttest/common/cluster.ts'
import type { Host } from '#inttest/common/host.ts'
import { checkout } from '#inttest/common/names.ts'
import { ended } from '#inttest/common/run.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'

const OUT = '/var/log/acknowledged'

/** Writes on a worker, fifty a second unless told otherwise, through the loopback address of its load balancer. */
export class LoopbackWriter implements AsyncDisposable {
  readonly #cluster: Cluster
  readonly #worker: Host
  readonly #everyMs: number
  #child: ChildProcess | undefined

  constructor(cluster: Cluster, worker: Host, { everyMs = 20 }: { readonly everyMs?: number } = {}) {
    this.#cluster = cluster
    this.#worker = worker
    this.#everyMs = everyMs
  }

  /** The credentials are the administrator's; the address is the worker's own. */
  async start(): Promise<void> {
    await this.#cluster.mustKubectl(['create', 'namespace', 'ha'])
    const { stdout } = await this.#cluster.controller.k0s(['kubeconfig', 'admin'])
    const config = parse(stdout) as {
      clusters: { cluster: { 'certificate-authority-data': string } }[]
      users: { user: { 'client-certificate-data': string; 'client-key-data': string } }[]
    }
    const { user } = config.users[0]!
    const source = await readFile(join(import.meta.dirname, 'writer-program.ts'), 'utf8')
    const node = join(checkout, 'build', 'lib', 'node')
    const argv = await this.#worker.inside([
      node,
      '--input-type=module-typescript',
      '--disable-warning=ExperimentalWarning',
      '--eval',
      source,
      '--',
      '--server=https://127.0.0.1:7443',
      `--ca=${config.clusters[0]!.cluster['certificate-authority-data']}`,
      `--cert=${user['client-certificate-data']}`,
      `--key=${user['client-key-data']}`,
      `--out=${OUT}`,
      `--every-ms=${String(this.#everyMs)}`,
    ])
    const [program = '', ...args] = argv
    this.#child = spawn(program, args, { stdio: ['pipe', 'inherit', 'inherit'] })
  }

  /** What was acknowledged so far: number of the object, and when by monotonicMs(). */
  async acknowledged(): Promise<readonly { readonly n: number; readonly atMs: number }[]> {
    const text = await readFile(this.#worker.diskPath(OUT), 'utf8').catch(() => '')
    return text
      .trimEnd()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' ').map(Number))
      .map(([n = 0, atMs = 0]) => ({ n, atMs }))
  }

  /** The longest time without an acknowledged write since `sinceMs`, milliseconds; until now counts too. */
  async longestGapMs(sinceMs: number): Promise<number> {
    const times = (await this.acknowledged()).map(({ atMs }) => atMs).filter((atMs) => atMs >= sinceMs)
    const all = [sinceMs, ...times.toSorted((a, b) => a - b), monotonicMs()]
    return Math.max(...all.slice(1).map((atMs, i) => atMs - (all[i] ?? atMs)))
  }

  /** Fails if an acknowledged object is not there with its content. */
  async verify(): Promise<void> {
    await this.stop()
    const acknowledged = await this.acknowledged()
    assert.ok(acknowledged.length > 0, 'nothing was acknowledged')
    const { items } = (await this.#cluster.get(['configmaps', '-n', 'ha'])) as {
      items: { metadata: { name: string }; data?: { n?: string } }[]
    }
    const stored = new Map(items.map(({ metadata, data }) => [metadata.name, data?.n]))
    const lost = acknowledged.filter(({ n }) => stored.get(`acknowledged-${String(n)}`) !== String(n))
    assert.deepEqual(lost, [], 'acknowledged objects that are gone')
    console.log(`      ${String(acknowledged.length)} acknowledged objects, none lost`)
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined) return
    child.stdin?.end()
    await ended(child)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
