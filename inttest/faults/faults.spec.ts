import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { BACK_WITHIN_MS, containersOf, killAndAwait, theProcess, Writer } from '#inttest/common/faults.ts'
import { startPods } from '#inttest/common/pods.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'
import { storeComponent } from '#inttest/common/store.ts'

describe('SIGKILL of each component', () => {
  let cluster: Cluster
  let containers: string
  let writer: Writer

  before(async () => {
    cluster = await sharedCluster('isolated')
    await startPods(cluster, [{ name: 'witness', node: cluster.worker.name }])
    containers = await containersOf(cluster, 'witness')
    writer = new Writer(cluster, 'acknowledged')
  })

  after(async () => {
    await cluster.mustKubectl(['delete', 'pod', 'witness', '--wait=false'])
  })

  afterEach(async () => {
    await eventually('the witness pod is untouched', 30_000, async () =>
      assert.equal(await containersOf(cluster, 'witness'), containers),
    )
  })

  const apiAnswers = async (): Promise<void> => {
    await cluster.mustKubectl(['get', '--raw', '/readyz', '--request-timeout=5s'])
  }
  const execWorks = async (): Promise<void> => {
    assert.equal((await cluster.exec('witness', ['hostname'])).trim(), 'witness')
  }

  for (const component of ['kube-apiserver', storeComponent, 'kube-controller-manager', 'kube-scheduler']) {
    it(`${component}: back, once, with the API answering`, async () => {
      await killAndAwait(cluster.controller, component, apiAnswers)
    })
  }

  it('konnectivity-server: back, once, and exec works again', async () => {
    await killAndAwait(cluster.controller, 'konnectivity-server', execWorks)
  })

  for (const component of ['kubelet', 'containerd', 'kube-proxy', 'flanneld', 'calico-felix']) {
    it(`${component}: back, once, and exec works again`, async () => {
      await killAndAwait(cluster.worker, component, execWorks)
    })
  }

  for (const role of ['controller', 'worker'] as const) {
    it(`the supervisor of the ${role}, started again as a service manager would`, async () => {
      const host = role === 'controller' ? cluster.controller : cluster.worker
      const children = role === 'controller' ? [storeComponent, 'kube-apiserver'] : ['kubelet', 'containerd']
      const supervisor = await cluster.supervisor(host)
      process.kill(supervisor.pid, 'SIGKILL')
      const began = Date.now()
      await cluster.restart(host)
      const tookMs = Date.now() - began
      console.log(`      k0s ${role}: ready again after ${(tookMs / 1000).toFixed(1)} s`)
      assert.ok(tookMs < BACK_WITHIN_MS, `the ${role} took ${String(tookMs)} ms`)
      for (const child of children) await theProcess(host, child)
      await eventually('exec works', 20_000, execWorks)
    })
  }

  it('loses no acknowledged object in all of this', async () => {
    await writer.verify()
  })

  it('leaves every node Ready', async () => {
    await cluster.untilNodesReady(cluster.workers.map(({ name }) => name))
  })
})
