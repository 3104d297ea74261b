import assert from 'node:assert/strict'
import { eventually } from '#inttest/common/eventually.ts'
import { ExternalEtcd } from '#inttest/common/external-etcd.ts'
import type { Host } from '#inttest/common/host.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'
import { everythingServes } from '#inttest/ha/serving.ts'
import { killAndReturn, startWitness, survives } from '#inttest/ha/surviving.ts'
import { LoopbackWriter } from '#inttest/ha/writer.ts'

const FOREIGN = '/tenants/two/key'

describe('two controllers on an external etcd, with TLS and a prefix', () => {
  const cluster = newCluster('ha-external-etcd', { controllers: 2, workers: 1, database: 'external-etcd' })
  const [first, second] = cluster.controllers as readonly [Host, Host]
  const writer = new LoopbackWriter(cluster, cluster.worker)

  before(async function () {
    this.timeout(600_000)
    await cluster.down()
    await cluster.up()
    await startWitness(cluster)
    await writer.start()
    await etcd().etcdctl(['put', FOREIGN, 'of somebody else'])
  })
  after(() => writer.stop())
  keepLogsOfFailures(cluster, 'ha-external-etcd')
  after(() => cluster.down())

  const etcd = (): ExternalEtcd => {
    assert.ok(cluster.database instanceof ExternalEtcd)
    return cluster.database
  }
  const keys = async (): Promise<readonly string[]> => {
    const text = await etcd().etcdctl(['get', '', '--from-key', '--keys-only'])
    return text.split('\n').filter((line) => line !== '')
  }

  it('keep their objects below the prefix, and nothing elsewhere', async () => {
    const found = await keys()
    const mine = found.filter((key) => key.startsWith(`/${ExternalEtcd.prefix}/`))
    assert.deepEqual(
      found.filter((key) => !mine.includes(key)),
      [FOREIGN],
    )
    for (const part of ['minions/worker-0', 'namespaces/ha', 'pods/default/witness'])
      assert.ok(mine.includes(`/${ExternalEtcd.prefix}/${part}`), part)
  })

  it('run no etcd of their own, and say where their objects are', async () => {
    for (const host of cluster.controllers) {
      assert.ok(!(await host.processes()).some(({ name }) => name === 'etcd'))
      assert.match((await host.k0s(['status'])).stdout, /^Storage: external etcd$/m)
    }
    const { code, stderr } = await first.k0s(['etcd', 'member-list'])
    assert.equal(code, 1)
    assert.match(stderr, /^Error: this host runs no etcd of its own; .*\n$/)
  })

  for (const [index, host] of cluster.controllers.entries()) {
    it(`survive a kill -9 of controller-${String(index)}`, async () => {
      await killAndReturn(cluster, writer, { host, how: 'kill -9' })
      await eventually('both serve again', 120_000, () => Promise.all(cluster.controllers.map(everythingServes)))
    }).timeout(600_000)
  }

  it('survive a kill -9 of etcd, which is started again', async () => {
    const beganMs = monotonicMs()
    await etcd().kill()
    await etcd().start()
    await survives(cluster, writer, { host: first, beganMs, what: 'kill -9 of the external etcd, seen' })
    await eventually('both serve again', 120_000, () => Promise.all(cluster.controllers.map(everythingServes)))
  }).timeout(600_000)

  it('leave it alone when one is reset', async () => {
    const before = await keys()
    const members = await etcd().etcdctl(['member', 'list'])
    for (const command of ['stop', 'reset']) {
      const { code, stderr } = await second.k0s([command])
      assert.equal(code, 0, stderr)
    }
    assert.equal(await etcd().etcdctl(['member', 'list']), members)
    const left = new Set(await keys())
    // Events expire, and what a controller keeps of itself goes with it.
    const kept = before.filter((key) => /configmaps|secrets|minions|pods\//.test(key))
    assert.deepEqual(
      kept.filter((key) => !left.has(key)),
      [],
    )
    assert.ok(left.has(FOREIGN))
    await everythingServes(first)
  })

  it('lose no acknowledged write', () => writer.verify())
})
