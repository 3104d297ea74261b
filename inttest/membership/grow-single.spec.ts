import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { containersOf } from '#inttest/common/faults.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { startPods } from '#inttest/common/pods.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { untilAgreed } from '#inttest/membership/agreed.ts'
import { stop } from '#inttest/membership/leaving.ts'

/** An object as it was, and where in the history. */
interface Identity {
  readonly uid: string
  readonly resourceVersion: number
}

/** docs/guides/datastores.md, "From one node to several controllers": the commands are its own. */
describe('a --single node on SQLite that is grown to three controllers on etcd', function () {
  this.bail(true) // each step begins with what the one before left
  const cluster: Cluster = newCluster('grow', { controllers: 3, workers: 0, controllerArgs: ['--single'] })
  const [first, second, third] = cluster.controllers as readonly [Host, Host, Host]
  let containers = ''
  let asItWas: ReadonlyMap<string, Identity>

  before(async function () {
    this.timeout(300_000)
    await cluster.down()
    await cluster.network.create()
    for (const host of cluster.controllers) await host.boot()
    await cluster.startController()
    await cluster.untilNodesReady([first.name])
    await startPods(cluster, [{ name: 'witness' }])
    for (let i = 0; i < 20; i += 1) {
      await cluster.mustKubectl(['create', 'configmap', `kept-${String(i)}`, `--from-literal=n=${String(i)}`])
    }
    await cluster.mustKubectl(['label', 'configmap', 'kept-3', 'kept-5', 'touched=yes'])
    await cluster.mustKubectl(['delete', 'configmap', 'kept-7'])
    containers = await containersOf(cluster, 'witness')
    asItWas = await identities()
  })
  keepLogsOfFailures(cluster, 'grow')
  after(() => cluster.down())

  const identities = async (): Promise<ReadonlyMap<string, Identity>> => {
    const { items } = (await cluster.get([
      'nodes,namespaces,configmaps,secrets,serviceaccounts,pods,services',
      '-A',
    ])) as {
      items: { kind: string; metadata: { namespace?: string; name: string; uid: string; resourceVersion: string } }[]
    }
    return new Map(
      items.map(({ kind, metadata: { namespace = '', name, uid, resourceVersion } }) => [
        `${kind} ${namespace}/${name}`,
        { uid, resourceVersion: Number(resourceVersion) },
      ]),
    )
  }
  const run = async (args: readonly string[]): Promise<void> => {
    const { code, stderr } = await first.k0s(args, { timeoutMs: 120_000 })
    assert.equal(code, 0, stderr)
  }

  it('keeps its node, its pods and its objects, each at its resource version or a later one', async () => {
    await run(['stop'])
    await run(['datastore', 'migrate', '--from=sqlite:///var/lib/k0s/db/state.db', '--to=etcd:///var/lib/k0s/etcd'])
    await cluster.start(first, ['controller', '--enable-worker', '--no-taints'])
    await cluster.untilNodesReady([first.name])
    await untilAgreed(cluster, [first])
    await stays()
  }).timeout(300_000)

  it('lets two others join', async () => {
    for (const host of [second, third]) {
      await host.write('/etc/k0s/token', await cluster.token('controller'))
      await cluster.start(host, ['controller', '--token-file', '/etc/k0s/token'])
    }
    await untilAgreed(cluster, cluster.controllers)
    await stays()
    for (const host of cluster.controllers) {
      await eventually(`exec through ${host.name}`, 30_000, async () => {
        const { code, stderr } = await host.k0s(['kubectl', 'exec', 'witness', '--', 'true'], { timeoutMs: 20_000 })
        assert.equal(code, 0, stderr)
      })
    }
  }).timeout(300_000)

  it('goes on without the controller that it was', async () => {
    await run(['stop'])
    cluster.ask(second)
    await eventually('the others serve', 60_000, () => cluster.mustKubectl(['create', 'configmap', 'without']))
    await cluster.restart(first)
    await cluster.untilNodesReady([first.name])
    await stays()
    await stop(second)
    cluster.ask(first)
    await cluster.get(['configmap', 'without'])
  }).timeout(300_000)

  const stays = async (): Promise<void> => {
    const after = await identities()
    for (const [name, { uid, resourceVersion }] of asItWas) {
      const now = after.get(name)
      // A token of the worker that it no longer needs, and pods of add-ons that moved, may go; nothing of the user's.
      if (now === undefined) assert.ok(!name.includes('default/'), `${name} is gone`)
      else if (/ConfigMap default\/kept-|Namespace/.test(name)) assert.deepEqual(now, { uid, resourceVersion }, name)
      else assert.ok(now.resourceVersion >= resourceVersion, name)
    }
    assert.equal(await containersOf(cluster, 'witness'), containers)
  }
})
