import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { containersOf } from '#inttest/common/faults.ts'
import { startPods } from '#inttest/common/pods.ts'
import { endAllShared, newCluster } from '#inttest/common/shared-cluster.ts'

const SQLITE = 'sqlite:///var/lib/k0s/db/state.db'
const ETCD = 'etcd:///var/lib/k0s/etcd'
const BACK = 'sqlite:///var/lib/k0s/db/back.db'

/** The parts of an object that tell whether it is still the same one. */
interface Identity {
  readonly metadata: { readonly name: string; readonly uid: string; readonly resourceVersion: string }
}

describe('k0s datastore migrate: a cluster moves from SQLite to etcd and back', () => {
  let cluster: Cluster
  let objects: readonly string[]

  before(async () => {
    await endAllShared() // two cores: one cluster at a time
    cluster = newCluster('datastore', { workers: 1, config: 'spec:\n  storage:\n    type: kine\n' })
    await cluster.down()
    await cluster.up()
    await startPods(cluster, [{ name: 'shell' }])
    for (let i = 0; i < 20; i += 1) {
      await cluster.mustKubectl(['create', 'configmap', `kept-${String(i)}`, `--from-literal=n=${String(i)}`])
    }
    await cluster.mustKubectl(['label', 'configmap', 'kept-3', 'kept-5', 'touched=yes'])
    await cluster.mustKubectl(['delete', 'configmap', 'kept-7'])
    objects = await identities(cluster)
    assert.equal(objects.length, 19)
  })

  after(async () => {
    await cluster.down()
  })

  it('refuses while the cluster runs on it', async () => {
    const { code, stderr } = await cluster.controller.k0s(migration(SQLITE, ETCD))
    assert.equal(code, 1)
    assert.match(stderr.trim(), /^Error: .*in use.*$/)
  })

  it('runs on etcd with every object at its resource version, and pods untouched', async () => {
    const containers = await containersOf(cluster, 'shell')
    const summary = await migrateTo(cluster, SQLITE, ETCD, '{}\n')
    assert.ok(summary.keys > 100)
    const names = (await cluster.controller.processes()).map(({ name }) => name)
    assert.ok(names.includes('etcd'))
    assert.deepEqual(await identities(cluster), objects)
    await cluster.exec('shell', ['true'])
    assert.equal(await containersOf(cluster, 'shell'), containers)
    await cluster.mustKubectl(['create', 'configmap', 'on-etcd'])
  })

  it('runs on SQLite again', async () => {
    const config = `spec:\n  storage:\n    type: kine\n    kine:\n      dataSource: ${BACK}\n`
    await migrateTo(cluster, ETCD, BACK, config)
    const names = (await cluster.controller.processes()).map(({ name }) => name)
    assert.ok(!names.includes('etcd'))
    assert.deepEqual(await identities(cluster), objects)
    await cluster.mustKubectl(['get', 'configmap', 'on-etcd'])
    await cluster.exec('shell', ['true'])
  })
})

function migration(from: string, to: string): readonly string[] {
  return ['datastore', 'migrate', `--from=${from}`, `--to=${to}`, '--verbose=false', '-o', 'json']
}

/** Stops the controller, migrates, and starts it with another configuration. */
async function migrateTo(cluster: Cluster, from: string, to: string, config: string): Promise<{ keys: number }> {
  const { controller } = cluster
  const stopped = await controller.k0s(['stop'], { timeoutMs: 60_000 })
  assert.equal(stopped.code, 0, stopped.stderr)
  const { code, stdout, stderr } = await controller.k0s(migration(from, to), { timeoutMs: 120_000 })
  assert.equal(code, 0, stderr)
  await controller.write('/etc/k0s/k0s.yaml', config)
  await cluster.restart(controller)
  await cluster.untilNodesReady([cluster.worker.name])
  return JSON.parse(stdout) as { keys: number }
}

async function identities(cluster: Cluster): Promise<readonly string[]> {
  const { items } = (await cluster.get(['configmaps', '-n', 'default'])) as { readonly items: readonly Identity[] }
  return items
    .filter(({ metadata }) => metadata.name.startsWith('kept-'))
    .map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`)
}
