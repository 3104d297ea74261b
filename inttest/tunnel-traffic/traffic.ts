import type { ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '#inttest/common/cluster.ts'
import { k0sExecutable } from '#inttest/common/names.ts'
import { ended } from '#inttest/common/run.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { loadKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import type { ResourceRef } from '#pkg/kubernetes/types.ts'

const CREATES_PER_SECOND = 100
const METRICS_PER_SECOND = 2
/** Calls under way at once: a slow machine is asked less often, not ever more at once. */
const MAX_UNDER_WAY = 200

/** How the calls of one kind went. */
export interface Calls {
  readonly what: string
  answered: number
  readonly failed: Failure[]
}

/** A call that failed. */
export interface Failure {
  /** Of its end, milliseconds since 1970. */
  readonly atMs: number
  readonly text: string
}

/** When a process let its connections end, and how many it ended: milliseconds since 1970. */
export interface Drain {
  readonly fromMs: number
  readonly toMs: number
  /** Closed when nothing moved on them, or cut in use. */
  readonly ended: number
}

/** How the API server tells that the connection of a call ended under it. */
const CUT = /\bEOF\b|connection reset|connection lost|broken pipe|use of closed|server closed|GOAWAY|http2: /
/** Between the end of a connection and the failure of its calls in the hands of their caller. */
const TOLD_WITHIN_MS = 2_000

/**
 * Whether a drain can have cut the call: it failed with the end of its connection, while the drain went on. Every other failure is
 * one that no restart may cause: of a dial, of a connection that was made after the drain, or of the API server itself.
 */
export function wasCut({ atMs, text }: Failure, { fromMs, toMs, ended }: Drain): boolean {
  return ended > 0 && CUT.test(text) && atMs >= fromMs && atMs <= toMs + TOLD_WITHIN_MS
}

/** Calls of the API server through the tunnel at a steady rate, from beside the cluster. */
export class Traffic implements AsyncDisposable {
  readonly creates: Calls = calls('webhook')
  readonly metrics: Calls = calls('metrics-server')
  readonly #client: KubeClient
  readonly #stopping = new AbortController()
  readonly #loops: Promise<void>[] = []
  readonly #underWay = new Set<Promise<void>>()

  static async start(cluster: Cluster, namespace: string): Promise<Traffic> {
    const { controller } = cluster
    const access = await loadKubeconfig(controller.diskPath('/var/lib/k0s/pki/admin.conf'))
    return new Traffic(new KubeClient({ ...access, server: `https://${controller.address}:6443` }), namespace)
  }

  private constructor(client: KubeClient, namespace: string) {
    this.#client = client
    const path = `/api/v1/namespaces/${namespace}/configmaps`
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'traffic-' }, data: { a: 'b' } }
    this.#loops.push(
      this.#loop(this.creates, CREATES_PER_SECOND, () =>
        client.request('POST', path, { body, query: { dryRun: 'All' } }),
      ),
      this.#loop(this.metrics, METRICS_PER_SECOND, () => client.list(NODE_METRICS)),
    )
  }

  /** Stops, and waits for what is under way. */
  async finish(): Promise<void> {
    this.#stopping.abort(new Error('the traffic is over'))
    await Promise.all(this.#loops)
    await Promise.all(this.#underWay)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.finish()
    this.#client.close()
  }

  async #loop(result: Calls, perSecond: number, call: () => Promise<unknown>): Promise<void> {
    const began = performance.now()
    for (let n = 0; !this.#stopping.signal.aborted; n += 1) {
      const wait = began + (n * 1000) / perSecond - performance.now()
      if (wait > 0) await sleep(wait)
      if (this.#underWay.size >= MAX_UNDER_WAY) await Promise.race(this.#underWay)
      const done = note(result, call()).finally(() => this.#underWay.delete(done))
      this.#underWay.add(done)
    }
  }
}

const NODE_METRICS: ResourceRef = { group: 'metrics.k8s.io', version: 'v1beta1', resource: 'nodes' }

function calls(what: string): Calls {
  return { what, answered: 0, failed: [] }
}

async function note(result: Calls, call: Promise<unknown>): Promise<void> {
  try {
    await call
    result.answered += 1
  } catch (error) {
    const text = (error as Error).message.replace(/\d+\.\d+\.\d+\.\d+:\d+/g, 'ADDRESS')
    result.failed.push({ atMs: Date.now(), text })
  }
}

/** A line for people, and one for each kind of failure. */
export function tell({ what, answered, failed }: Calls, drains: readonly Drain[]): string {
  const texts = new Map<string, number>()
  for (const { text } of failed) texts.set(text, (texts.get(text) ?? 0) + 1)
  const cut = failed.filter((failure) => drains.some((drain) => wasCut(failure, drain))).length
  const lines = [...texts].map(([text, n]) => `\n          ${String(n)}: ${text}`).join('')
  return `${what}: ${String(answered)} answered, ${String(cut)} cut, ${String(failed.length - cut)} failed otherwise${lines}`
}

/** `kubectl exec` of a counting shell, or `kubectl logs -f` of a counting pod: a session that goes on for ever. */
export class Session implements AsyncDisposable {
  readonly name: string
  readonly #child: ChildProcess
  readonly #log: string

  private constructor(name: string, child: ChildProcess, log: string) {
    this.name = name
    this.#child = child
    this.#log = log
  }

  static async start(cluster: Cluster, name: string, args: readonly string[]): Promise<Session> {
    const child = await cluster.controller.spawn([k0sExecutable, 'kubectl', ...args], name)
    return new Session(name, child, join(cluster.controller.dir, `${name}.log`))
  }

  /** Whether it goes on. */
  get open(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The numbers of the lines that came, `tick N` each. */
  async ticks(): Promise<readonly number[]> {
    const text = await readFile(this.#log, 'utf8')
    return [...text.matchAll(/^tick (\d+)$/gm)].map(([, n]) => Number(n))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.open) process.kill(-(this.#child.pid ?? 0), 'SIGTERM')
    await ended(this.#child)
  }
}
