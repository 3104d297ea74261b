import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { startPods } from '#inttest/common/pods.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { membersAt, untilAgreed } from '#inttest/membership/agreed.ts'
import { leave, reset, stop, stopsByItself } from '#inttest/membership/leaving.ts'

describe('a cluster of one controller, of three, of five, and of one again', function () {
  this.bail(true) // each step begins with what the one before left
  const cluster: Cluster = newCluster('steps', { controllers: 5, workers: 1 })
  const [first, second, third, fourth, fifth] = cluster.controllers as readonly [Host, Host, Host, Host, Host]

  before(async function () {
    this.timeout(300_000)
    await cluster.down()
    await cluster.network.create()
    for (const host of [first, cluster.worker]) await host.boot()
    await cluster.startController()
    await cluster.join(cluster.worker)
    await cluster.untilNodesReady([cluster.worker.name])
    await startPods(cluster, [{ name: 'witness' }])
  })
  keepLogsOfFailures(cluster, 'steps')
  after(() => cluster.down())

  const agree = async (...controllers: readonly Host[]): Promise<void> => {
    await untilAgreed(cluster, controllers)
    for (const host of controllers) {
      const { code, stderr } = await host.k0s(['kubectl', 'exec', 'witness', '--', 'true'], { timeoutMs: 20_000 })
      assert.equal(code, 0, `exec through ${host.name}: ${stderr}`)
    }
  }
  const grow = async (host: Host): Promise<void> => {
    await host.boot()
    await cluster.joinController(host)
  }

  it('is one', () => agree(first))

  it('grows to three', async () => {
    await grow(second)
    await grow(third)
    await agree(first, second, third)
  }).timeout(300_000)

  it('grows to five', async () => {
    await grow(fourth)
    await grow(fifth)
    await agree(first, second, third, fourth, fifth)
  }).timeout(300_000)

  it('lets one go with spec.leave of its EtcdMember', async () => {
    const { code, stderr } = await cluster.kubectl([
      'patch',
      'etcdmember',
      fifth.name,
      '--type=merge',
      '--patch={"spec":{"leave":true}}',
    ])
    assert.equal(code, 0, stderr)
    await eventually('its object says that it has left', 60_000, async () => {
      const { status } = await cluster.get(['etcdmember', fifth.name])
      assert.equal(status.reconcileStatus, 'Success')
      assert.equal(status.conditions[0].status, 'False')
    })
    await stopsByItself(fifth)
    await agree(first, second, third, fourth)
  }).timeout(300_000)

  it('lets the first one go, and takes it again as a new host: k0s etcd leave, reset, token, join', async () => {
    cluster.ask(second)
    await leave(first)
    await agree(second, third, fourth)
    assert.doesNotMatch(await reset(first), /members? of etcd/)
    await cluster.joinController(first)
    await agree(first, second, third, fourth)
  }).timeout(300_000)

  it('takes again one that left by its object: the wish is taken back', async () => {
    await reset(fifth)
    await cluster.joinController(fifth)
    await agree(first, second, third, fourth, fifth)
    const { spec } = await cluster.get(['etcdmember', fifth.name])
    assert.equal(spec.leave, false)
  }).timeout(300_000)

  it('shrinks to three: one leaves by k0s reset alone, one that is lost is removed by another', async () => {
    await stop(first)
    assert.match(await reset(first), /left the members of etcd/)
    await fifth.powerOff()
    await eventually('its EtcdMember says that it does not answer', 60_000, async () => {
      const { status } = await cluster.get(['etcdmember', fifth.name])
      const answering = status.conditions.find(({ type }: { type: string }) => type === 'Answering')
      assert.equal(answering?.status, 'False')
    })
    const { code, stderr } = await second.k0s(['etcd', 'leave', '--peer-address', fifth.address])
    assert.equal(code, 0, stderr)
    await agree(second, third, fourth)
  }).timeout(300_000)

  it('shrinks to one by k0s reset, which the one that stays outlives alone', async () => {
    for (const [host, left] of [
      [second, [third, fourth]],
      [third, [fourth]],
    ] as const) {
      cluster.ask(fourth)
      await stop(host)
      assert.match(await reset(host), /left the members of etcd/)
      assert.deepEqual(
        await membersAt(fourth),
        left.map(({ name }) => `${name} voter`),
      )
    }
    await agree(fourth)
  }).timeout(300_000)

  it('keeps its last member', async () => {
    const { code, stderr } = await fourth.k0s(['etcd', 'leave'])
    assert.equal(code, 1)
    assert.match(stderr, /last member of etcd and cannot leave/)
    await agree(fourth)
  })
})
