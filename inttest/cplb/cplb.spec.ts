import assert from 'node:assert/strict'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { namesOf } from '#inttest/common/names.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { VirtualAddress } from '#inttest/cplb/virtual-address.ts'

const INSTANCE = 'cplb'
const address = `${namesOf(`test-${INSTANCE}`).subnet}.100`

/** Every controller has the same; users and workers know the cluster by the virtual address. */
const config = JSON.stringify({
  apiVersion: 'k0s.k0sproject.io/v1beta1',
  kind: 'ClusterConfig',
  metadata: { name: 'k0s' },
  spec: {
    api: { externalAddress: address },
    network: {
      controlPlaneLoadBalancing: {
        enabled: true,
        keepalived: { vrrpInstances: [{ virtualIPs: [`${address}/24`], authPass: 'test-1' }] },
      },
    },
  },
})

describe('a virtual address of three controllers', () => {
  const cluster = newCluster(INSTANCE, { controllers: 3, workers: 1, config })
  const outside = cluster.host('outside', 40)
  const late = cluster.host('worker-1', 21)
  const virtual = new VirtualAddress(address, { cluster, outside })
  const everybody = cluster.controllers.map(({ name }) => name)
  const besides = (host: Host): readonly string[] => everybody.filter((name) => name !== host.name)

  before(async function () {
    this.timeout(600_000)
    await cluster.down()
    for (const host of [outside, late]) await host.remove()
    await cluster.up()
    for (const host of [outside, late]) await host.boot()
    await virtual.introduce()
  })
  keepLogsOfFailures(cluster, INSTANCE)
  after(async () => {
    for (const host of [outside, late]) await host.remove()
    await cluster.down()
  })

  /** Processes of keepalived on a host, as the machine sees them: two where it runs. */
  const keepalived = async (host: Host): Promise<readonly number[]> =>
    (await host.processes()).filter(({ name }) => name === 'keepalived').map(({ pid }) => pid)
  const kill = (pids: readonly number[]): void => {
    for (const pid of pids) process.kill(pid, 'SIGKILL')
  }
  /** After each fault: one controller has the address, and all API servers are behind it. */
  const untilWhole = async (): Promise<void> => {
    await eventually('one controller has the address', 60_000, () => virtual.holder())
    await eventually('all API servers are behind it', 60_000, async () =>
      assert.deepEqual(await virtual.answering(9), everybody),
    )
  }

  it('is on one of them, and the API answers there with a certificate for it', async () => {
    await eventually('one controller has the address', 30_000, () => virtual.holder())
    await virtual.request()
  })

  it('is what the worker joined by', async () => {
    const token = await cluster.token('worker')
    const { stdout } = await cluster.controller.run(['sh', '-c', 'base64 -d | gunzip'], { input: token })
    assert.ok(stdout.includes(`https://${address}:6443`), 'the token names another address')
    await cluster.untilNodesReady([cluster.worker.name])
  })

  it('has the API servers of all controllers behind it', async () => {
    await untilWhole()
  })

  it('leads to any API server that answers: that of its own controller may end', async () => {
    const host = await virtual.holder()
    for (let i = 0; i < 3; i += 1) {
      const found = (await host.processes()).find(({ name }) => name === 'kube-apiserver')
      assert.ok(found)
      kill([found.pid])
      await virtual.request()
    }
    assert.equal(await virtual.holder(), host)
  })

  it('is on one of them again after keepalived is killed', async () => {
    const host = await virtual.holder()
    const former = await keepalived(host)
    assert.equal(former.length, 2, 'it is two processes')
    kill(former)
    await eventually('keepalived runs again', 60_000, async () => {
      const pids = await keepalived(host)
      assert.equal(pids.length, 2)
      assert.ok(pids.every((pid) => !former.includes(pid)))
    })
    await untilWhole()
  })

  it('moves when the supervisor of its controller is killed', async () => {
    const host = await virtual.holder()
    const { pid } = await cluster.supervisor(host)
    const began = Date.now()
    kill([pid])
    await virtual.movedFrom(host, 'kill -9', began)
    await cluster.restart(host)
    await untilWhole()
  })

  it('moves when its controller loses its power, and a worker joins by it meanwhile, with a pre-shared token', async () => {
    const host = await virtual.holder()
    const began = Date.now()
    await host.powerOff()
    const next = await virtual.movedFrom(host, 'power-off', began)
    await eventually('connections reach the others only', 60_000, async () =>
      assert.deepEqual(await virtual.answering(6), besides(host)),
    )
    await late.write('/etc/k0s/token', await virtual.preSharedToken(next))
    await cluster.start(late, ['worker', '--token-file', '/etc/k0s/token'])
    await eventually('the worker that joined is Ready', 120_000, async () => {
      const { stdout, stderr } = await virtual.kubectl(['get', 'node', late.name, '--no-headers'])
      assert.match(stdout, /^worker-1 +Ready /, stderr)
    })
    await host.boot()
    await cluster.restart(host)
    await untilWhole()
  })

  it('moves when the cable of its controller is pulled, and is on one alone when it is back', async () => {
    const host = await virtual.holder()
    const began = Date.now()
    await cluster.network.unplug(host.address)
    await virtual.movedFrom(host, 'no cable', began)
    await cluster.network.plug(host.address)
    await untilWhole()
  })

  it('moves when its controller is stopped, which leaves no rule and no address', async () => {
    const host = await virtual.holder()
    assert.match(await host.must(['nft', 'list', 'tables']), /k0s-cplb/)
    const began = Date.now()
    const stopping = host.k0s(['stop'], { timeoutMs: 120_000 })
    await virtual.movedFrom(host, 'stop', began)
    assert.equal((await stopping).code, 0)
    assert.doesNotMatch(await host.must(['nft', 'list', 'tables']), /k0s-cplb/)
    assert.deepEqual(await virtual.holders([host]), [])
    await cluster.restart(host)
    await untilWhole()
  })

  it('is removed by a reset, also where everything was killed and nobody took it away', async () => {
    const host = await virtual.holder()
    const { pid } = await cluster.supervisor(host)
    const began = Date.now()
    kill([pid, ...(await keepalived(host))])
    assert.deepEqual(await virtual.holders([host]), [host])
    assert.match(await host.must(['nft', 'list', 'tables']), /k0s-cplb/)
    const { code, stdout, stderr } = await host.k0s(['reset'], { timeoutMs: 120_000 })
    assert.equal(code, 0, stderr)
    assert.match(`${stdout}${stderr}`, new RegExp(address))
    assert.deepEqual(await virtual.holders([host]), [])
    assert.doesNotMatch(await host.must(['nft', 'list', 'tables']), /k0s-cplb/)
    await virtual.movedFrom(host, 'kill -9 of all and reset', began)
  })
})
