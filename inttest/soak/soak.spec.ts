import assert from 'node:assert/strict'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '#inttest/common/cluster.ts'
import type { Host } from '#inttest/common/host.ts'
import { k0sExecutable } from '#inttest/common/names.ts'
import { startPods } from '#inttest/common/pods.ts'
import { newCluster } from '#inttest/common/shared-cluster.ts'
import { ConfigMapChurn } from '#inttest/common/config-map-churn.ts'

/** How long the cluster is carried, minutes. */
const MINUTES = Number(process.env['SOAK_MINUTES'] ?? 120)
/** Writes a second to the API server, beside what the cluster writes by itself. */
const WRITES_PER_SECOND = 10
/** Anonymous memory that one of our processes may gain between the first sixth of the time and its end, MB. */
const MAX_GROWTH_MB = 30
/** Largest database at the end: the churn keeps 50 small objects; five minutes of history are about 10 MB. */
const MAX_DATABASE_MB = 100

/** Not part of `make test`: kine and the tunnel carry a cluster for hours. `make check-soak`, `SOAK_MINUTES=…`. */
describe(`a cluster on kine and through the tunnel for ${String(MINUTES)} minutes`, function () {
  this.timeout((MINUTES + 10) * 60_000)
  let cluster: Cluster

  before(async () => {
    cluster = newCluster('soak', { workers: 1, config: 'spec:\n  storage:\n    type: kine\n' })
    await cluster.down()
    await cluster.up()
    await startPods(cluster, [
      { name: 'shell' },
      { name: 'ticks', command: ['sh', '-c', 'i=0; while :; do echo tick $i; i=$((i+1)); sleep 1; done'] },
    ])
  })

  after(async () => {
    await cluster.down()
  })

  it('loses nothing, restarts nothing, and does not grow', async () => {
    const { controller, worker } = cluster
    const follower = await controller.spawn([k0sExecutable, 'kubectl', 'logs', '-f', 'ticks'], 'ticks')
    await using churn = await ConfigMapChurn.start(cluster, WRITES_PER_SECOND)
    const settled = Date.now() + MINUTES * 10_000
    const end = Date.now() + MINUTES * 60_000
    let first: ReadonlyMap<string, number> | undefined
    for (let round = 0; Date.now() < end; round += 1) {
      assert.equal((await cluster.exec('shell', ['hostname'])).trim(), 'shell')
      if (Date.now() > settled) first ??= await memory([controller, worker])
      if (round % 30 === 0) await tell(cluster, churn)
      await sleep(10_000)
    }
    const last = await memory([controller, worker])
    await tell(cluster, churn)

    const { written, seen } = await churn.finish()
    assert.deepEqual(seen, written, 'the watch saw every write once and in order')
    const lines = (await readFile(join(controller.dir, 'ticks.log'), 'utf8')).trim().split('\n')
    assert.equal(follower.exitCode, null, 'logs -f is still connected')
    assert.deepEqual(
      lines,
      lines.map((_, i) => `tick ${String(i)}`),
    )
    assert.ok(lines.length > MINUTES * 50, `only ${String(lines.length)} lines in ${String(MINUTES)} minutes`)
    process.kill(-follower.pid!, 'SIGTERM')
    for (const host of [controller, worker]) assert.deepEqual(await restarted(host), [], `restarts on ${host.name}`)
    for (const [name, megabytes] of last) {
      const before = first?.get(name) ?? 0
      assert.ok(megabytes < before + MAX_GROWTH_MB, `${name} grew from ${String(before)} to ${String(megabytes)} MB`)
    }
    assert.ok((await databaseMegabytes(controller)) < MAX_DATABASE_MB)
  })
})

async function tell(cluster: Cluster, churn: ConfigMapChurn): Promise<void> {
  const figures = [...(await memory([cluster.controller, cluster.worker]))].map(([name, mb]) => `${name} ${String(mb)}`)
  const database = await databaseMegabytes(cluster.controller)
  console.log(`      ${String(churn.writes)} writes; MB: ${figures.join(', ')}; database ${String(database)}`)
}

/** Anonymous memory of each Node.js process of the product, MB. */
async function memory(hosts: readonly Host[]): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>()
  for (const host of hosts) {
    for (const { pid, argv } of await host.processes()) {
      const entry = argv.findIndex((arg) => arg.endsWith('main.mjs'))
      const command = argv[entry + 1] ?? ''
      if (entry < 0 || command === 'kubectl') continue
      const status = await readFile(`/proc/${String(pid)}/status`, 'utf8')
      found.set(command, Math.round(Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1]) / 1024))
    }
  }
  return found
}

async function databaseMegabytes(host: Host): Promise<number> {
  const file = host.diskPath('/var/lib/k0s/db/state.db')
  const sizes = await Promise.all([file, `${file}-wal`].map(async (path) => (await stat(path)).size))
  return Math.round(sizes.reduce((sum, size) => sum + size, 0) / 1024 / 1024)
}

/** Components that were started more than once. */
async function restarted(host: Host): Promise<readonly string[]> {
  const { stdout } = await host.k0s(['status', '-o', 'json'])
  const { Components } = JSON.parse(stdout) as { Components: { readonly name: string; readonly restarts?: number }[] }
  return Components.filter(({ restarts = 0 }) => restarts > 0).map(({ name }) => name)
}
