import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { k0sExecutable } from '#inttest/common/names.ts'
import { ended } from '#inttest/common/run.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'

describe('a host that is called like a worker that runs', () => {
  let cluster: Cluster
  let twin: Host

  before(async () => {
    cluster = await sharedCluster('isolated')
    twin = cluster.host(cluster.worker.name, 63, 'twin')
    await twin.remove()
    await twin.boot()
  })

  after(() => twin.remove())

  it('gets no certificate of that node with a valid token; both logs say why', async () => {
    const { uid } = (await cluster.get(['node', twin.name])).metadata
    await twin.write('/etc/k0s/token', await cluster.token('worker'))
    const child = await twin.spawn([k0sExecutable, 'worker', '--token-file', '/etc/k0s/token'], 'k0s')
    const said = (host: Host, line: RegExp): Promise<void> =>
      eventually(`${host.dir} says so`, 30_000, async () => {
        assert.match(await readFile(join(host.dir, 'k0s.log'), 'utf8'), line)
      })
    const why = `another host is node ${twin.name}, and alive: give this one another name`
    await said(twin, new RegExp(`level=warn msg="waiting for a certificate" .*${why}`))
    await said(cluster.controller, new RegExp(`level=warn msg="certificate request has to wait" .*${why}`))
    assert.equal((await twin.run(['ls', '/var/lib/kubelet/pki/kubelet-client-current.pem'])).code, 2)
    assert.equal((await cluster.get(['node', twin.name])).metadata.uid, uid)
    await cluster.untilNodesReady([twin.name], 5_000)
    const pending = await cluster.mustKubectl(['get', 'csr', '--no-headers'])
    assert.match(pending, /^k0s-csr-\w+ .*system:bootstrap:\w+ .* Pending$/m)
    assert.equal((await twin.k0s(['stop'])).code, 0)
    await ended(child)
  }).timeout(120_000)
})
