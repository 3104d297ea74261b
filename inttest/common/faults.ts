import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host, HostProcess } from '#inttest/common/host.ts'

/** How long a killed component may stay away. */
export const BACK_WITHIN_MS = 20_000

/** Finds the one process that is `component` on `host`. */
export async function theProcess(host: Host, component: string): Promise<HostProcess> {
  const found = (await host.processes()).filter((process) => is(process, component))
  assert.equal(found.length, 1, `${String(found.length)} processes are ${component} on ${host.name}`)
  return found[0]!
}

/** The product's own children are recognised by their sub-command, the others by their name. */
function is({ name, argv }: HostProcess, component: string): boolean {
  return name === component || (argv.includes(component) && argv.some((arg) => arg.endsWith('main.mjs')))
}

/**
 * SIGKILL to one component: another process takes its place within the limit, there is exactly one, and
 * `serves` (what users have of it) holds again.
 */
export async function killAndAwait(host: Host, component: string, serves: () => Promise<void>): Promise<void> {
  // One that ended because the API server was away just now comes back by itself first.
  const before = await eventually(`${component} runs`, BACK_WITHIN_MS, () => theProcess(host, component))
  process.kill(before.pid, 'SIGKILL')
  const began = Date.now()
  await eventually(`${component} is back on ${host.name}`, BACK_WITHIN_MS, async () => {
    const after = await theProcess(host, component)
    assert.notDeepEqual([after.pid, after.startTicks], [before.pid, before.startTicks])
    await serves()
  })
  console.log(`      ${component} on ${host.name}: back after ${((Date.now() - began) / 1000).toFixed(1)} s`)
  await theProcess(host, component) // still one: no second copy was started meanwhile
}

/** What identifies the running containers of a pod: unchanged means untouched. */
export async function containersOf(cluster: Cluster, pod: string): Promise<string> {
  const { status } = await cluster.get(['pod', pod])
  return JSON.stringify(
    status.containerStatuses.map((container: { containerID: string; restartCount: number; state: unknown }) => [
      container.containerID,
      container.restartCount,
      container.state,
    ]),
  )
}

/** Creates ConfigMaps one after another until stopped, and remembers which were acknowledged. */
export class Writer {
  readonly #cluster: Cluster
  readonly #prefix: string
  readonly #acknowledged: string[] = []
  #running = true
  readonly #loop: Promise<void>

  constructor(cluster: Cluster, prefix: string) {
    this.#cluster = cluster
    this.#prefix = prefix
    this.#loop = this.#write()
  }

  async #write(): Promise<void> {
    for (let i = 0; this.#running; i += 1) {
      const name = `${this.#prefix}-${String(i)}`
      const { code } = await this.#cluster.kubectl([
        'create',
        'configmap',
        name,
        '--request-timeout=5s',
        `--from-literal=n=${String(i)}`,
      ])
      if (code === 0) this.#acknowledged.push(name)
    }
  }

  /** Stops writing; fails if an acknowledged object is not there with its content, or none was written. */
  async verify(): Promise<void> {
    this.#running = false
    await this.#loop
    assert.ok(this.#acknowledged.length > 0, 'no write succeeded during the faults')
    const { items } = await this.#cluster.get(['configmaps'])
    const stored = new Map(
      items.map((item: { metadata: { name: string }; data: unknown }) => [item.metadata.name, item.data]),
    )
    const lost = this.#acknowledged.filter(
      (name) => JSON.stringify(stored.get(name)) !== JSON.stringify({ n: name.slice(this.#prefix.length + 1) }),
    )
    assert.deepEqual(lost, [], 'acknowledged objects that are gone')
    console.log(`      ${String(this.#acknowledged.length)} acknowledged objects, none lost`)
  }
}
