import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { store } from '#inttest/common/store.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'

describe('isolation: a controller without --enable-worker', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await sharedCluster('isolated')
  })

  it('runs no kubelet, no container runtime and nothing else of a worker', async () => {
    const names = (await cluster.controller.processes()).map(({ name }) => name)
    for (const forbidden of [
      'kubelet',
      'containerd',
      'containerd-shim',
      'kube-proxy',
      'flanneld',
      'calico-felix',
      'runc',
    ]) {
      assert.ok(
        !names.some((name) => name.startsWith(forbidden)),
        `${forbidden} runs on the controller: ${names.join(' ')}`,
      )
    }
    assert.ok(names.includes('kube-apiserver'), names.join(' '))
  })

  it('is no node: kubectl get nodes lists the workers only', async () => {
    const nodes = await cluster.get(['nodes'])
    const names = nodes.items.map((node: { metadata: { name: string } }) => node.metadata.name)
    assert.deepEqual(names.sort(), cluster.workers.map(({ name }) => name).sort())
  })

  it('runs its components under users of their own', async () => {
    const users: Record<string, string> = {}
    for (const { name, pid } of await cluster.controller.processes()) {
      users[name] = (
        await cluster.controller.must(['sh', '-c', `ps -o user:32= -p ${String(await hostPid(cluster, pid))}`])
      ).trim()
    }
    if (store === 'etcd') assert.equal(users['etcd'], 'etcd')
    assert.equal(users['kube-apiserver'], 'kube-apiserver')
    assert.equal(users['kube-scheduler'], 'kube-scheduler')
  })

  it('refuses anonymous requests', async () => {
    const script = "fetch('https://127.0.0.1:6443/api').then((r)=>console.log(r.status))"
    const node = ['env', 'NODE_TLS_REJECT_UNAUTHORIZED=0', 'NODE_NO_WARNINGS=1', process.execPath, '-e', script]
    assert.equal((await cluster.controller.must(node)).trim(), '401')
  })
})

async function hostPid(cluster: Cluster, pid: number): Promise<number> {
  const found = (await cluster.controller.processes()).find((process) => process.pid === pid)
  if (!found) throw new Error(`process ${String(pid)} has ended`)
  return found.hostPid
}
