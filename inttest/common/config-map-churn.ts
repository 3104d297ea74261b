import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '#inttest/common/cluster.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { loadKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

const NAMESPACE = 'churn'
const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps', namespace: NAMESPACE }
/** Objects that take turns: each is created, changed and deleted again and again. */
const OBJECTS = 50
/** How long the watch may be behind the last write. */
const BEHIND_MS = 30_000

interface Numbered extends KubeObject {
  readonly data: { readonly n: string }
}

/** Writes ConfigMaps at a steady rate, one write at a time, beside a watch that has to see each of them. */
export class ConfigMapChurn implements AsyncDisposable {
  readonly #client: KubeClient
  readonly #written: string[] = []
  readonly #seen: string[] = []
  readonly #stopping = new AbortController()
  #writing: Promise<void> = Promise.resolve()
  #watching: Promise<void> = Promise.resolve()

  static async start(cluster: Cluster, perSecond: number): Promise<ConfigMapChurn> {
    await cluster.mustKubectl(['create', 'namespace', NAMESPACE])
    const { controller } = cluster
    const access = await loadKubeconfig(controller.diskPath('/var/lib/k0s/pki/admin.conf'))
    const churn = new ConfigMapChurn(new KubeClient({ ...access, server: `https://${controller.address}:6443` }))
    await churn.#run(perSecond)
    return churn
  }

  private constructor(client: KubeClient) {
    this.#client = client
  }

  get writes(): number {
    return this.#written.length
  }

  /** Stops writing and lets the watch catch up. */
  async finish(): Promise<{ readonly written: readonly string[]; readonly seen: readonly string[] }> {
    this.#stopping.abort(new Error('the churn is over'))
    await this.#writing
    const deadline = Date.now() + BEHIND_MS
    while (this.#seen.length < this.#written.length && Date.now() < deadline) await sleep(100)
    return { written: this.#written, seen: this.#seen }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.finish()
    this.#client.close()
    await this.#watching
  }

  async #run(perSecond: number): Promise<void> {
    const { metadata, items } = await this.#client.list(CONFIG_MAPS)
    // kube-root-ca.crt, which every namespace gets, is none of ours.
    const others = new Set(['kube-root-ca.crt', ...items.map((item) => item.metadata.name)])
    this.#watching = this.#watch(metadata.resourceVersion, others)
    this.#writing = this.#write(1000 / perSecond)
  }

  async #write(intervalMs: number): Promise<void> {
    for (let n = 0; !this.#stopping.signal.aborted; n += 1) {
      const name = `object-${String(n % OBJECTS)}`
      const phase = Math.floor(n / OBJECTS) % 3
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { n: String(n) } }
      if (phase === 0) await this.#client.create(CONFIG_MAPS, body)
      else if (phase === 1) await this.#client.replace(CONFIG_MAPS, name, body)
      else await this.#client.delete(CONFIG_MAPS, name)
      // A deletion shows the content that was deleted.
      this.#written.push(phase === 2 ? `DELETED ${String(n - OBJECTS)}` : `${EVENTS[phase] ?? ''} ${String(n)}`)
      await sleep(intervalMs)
    }
  }

  /** Goes on from the last event when the server ends the watch, as every client does. */
  async #watch(from: string, others: ReadonlySet<string>): Promise<void> {
    let resourceVersion = from
    while (!this.#stopping.signal.aborted || this.#seen.length < this.#written.length) {
      for await (const { type, object } of this.#client.watch<Numbered>(CONFIG_MAPS, { resourceVersion })) {
        resourceVersion = object.metadata.resourceVersion ?? resourceVersion
        if (type !== 'BOOKMARK' && !others.has(object.metadata.name)) this.#seen.push(`${type} ${object.data.n}`)
        if (this.#stopping.signal.aborted && this.#seen.length >= this.#written.length) return
      }
    }
  }
}

const EVENTS = ['ADDED', 'MODIFIED'] as const
