import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { containersOf, killAndAwait, Writer } from '#inttest/common/faults.ts'
import { endShared, sharedCluster } from '#inttest/common/shared-cluster.ts'
import { fetchFrom, SERVE, startPods } from '#inttest/common/pods.ts'

describe('k0s controller --single: one host on kine with SQLite', () => {
  let cluster: Cluster

  before(async () => {
    await endShared('isolated') // two cores: one cluster at a time
    cluster = await sharedCluster('single')
    await cluster.untilNodesReady([cluster.controller.name])
  })

  it('runs kine and no etcd, and the node has no taint', async () => {
    const processes = await cluster.controller.processes()
    assert.ok(processes.some(({ argv }) => argv.includes('kine')))
    assert.ok(!processes.some(({ name }) => name === 'etcd'))
    const node = await cluster.get(['node', cluster.controller.name])
    assert.deepEqual(node.spec.taints ?? [], [])
  })

  it('serves a page through a Service by its DNS name', async () => {
    await startPods(cluster, [{ name: 'web', command: SERVE }, { name: 'shell' }])
    await cluster.mustKubectl(['expose', 'pod', 'web', '--port=80', '--target-port=8080'])
    await eventually('http://web/ answers', 60_000, async () =>
      assert.equal(await fetchFrom(cluster, 'shell', 'http://web/'), 'web'),
    )
  })

  it('refuses to make a token: nothing can join a single node', async () => {
    const { code, stderr } = await cluster.controller.k0s(['token', 'create'])
    assert.equal(code, 1)
    assert.match(stderr.trim(), /^Error: .*single.*$/)
  })

  it('survives SIGKILL of kine: back, once, nothing acknowledged lost, pods untouched', async () => {
    const containers = await containersOf(cluster, 'shell')
    const writer = new Writer(cluster, 'kept')
    for (let i = 0; i < 3; i += 1) {
      await killAndAwait(cluster.controller, 'kine', async () => {
        await cluster.mustKubectl(['get', '--raw', '/readyz', '--request-timeout=5s'])
      })
    }
    await writer.verify()
    await eventually('pods untouched', 30_000, async () =>
      assert.equal(await containersOf(cluster, 'shell'), containers),
    )
  })

  it('survives SIGKILL of the supervisor', async () => {
    const containers = await containersOf(cluster, 'shell')
    process.kill((await cluster.supervisor(cluster.controller)).pid, 'SIGKILL')
    await cluster.restart(cluster.controller)
    await eventually('exec works', 20_000, () => cluster.exec('shell', ['true']))
    assert.equal(await containersOf(cluster, 'shell'), containers)
  })
})
