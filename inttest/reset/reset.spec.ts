import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { ended } from '#inttest/common/run.ts'
import type { Host } from '#inttest/common/host.ts'
import { testImage } from '#inttest/common/images.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'
import { k0sExecutable } from '#inttest/common/names.ts'

const VOLUME = '/mnt/volume'

describe('k0s reset', () => {
  let cluster: Cluster
  let host: Host

  before(async () => {
    cluster = await sharedCluster('isolated')
    host = cluster.host('changeable', 61)
    await host.remove()
    await host.boot()
    await cluster.join(host)
    await cluster.untilNodesReady([host.name])
  })

  after(async () => {
    await host.remove()
    await cluster.mustKubectl(['delete', 'node', host.name, '--ignore-not-found'])
  })

  it('refuses while k0s is running, and says so', async () => {
    const { code, stderr } = await host.k0s(['reset'])
    assert.equal(code, 1)
    assert.match(stderr.trim(), /^Error: .*running.*$/)
  })

  it('runs a pod that writes to a directory of the host', async () => {
    await host.must(['sh', '-c', `mkdir -p ${VOLUME} && chmod 777 ${VOLUME}`])
    await cluster.apply(JSON.stringify(volumePod(host.name)))
    await eventually('the pod wrote its data', 90_000, () => host.must(['grep', '-q', 'precious', `${VOLUME}/data`]))
  })

  it('leaves no process, mount, interface, rule or file of the worker, and keeps the data of the volume', async () => {
    const supervisor = await cluster.supervisor(host)
    assert.equal((await host.k0s(['stop'])).code, 0)
    await eventually('the supervisor has ended', 60_000, async () => {
      assert.ok(!(await host.processes()).some(({ pid }) => pid === supervisor.pid))
    })
    const { code, stderr } = await host.k0s(['reset'], { timeoutMs: 120_000 })
    assert.equal(code, 0, stderr)
    assert.equal((await host.must(['cat', `${VOLUME}/data`])).trim(), 'precious')
    assert.deepEqual(await leftOn(host), [])
    const mounts = await host.must(['cat', '/proc/mounts'])
    assert.doesNotMatch(mounts, /\/(pods|containerd|rootfs|netns)\//)
    assert.doesNotMatch(await host.must(['ip', '-o', 'link']), /cali|flannel|vxlan/)
    assert.equal((await host.must(['nft', 'list', 'tables'])).trim(), '')
    assert.equal((await host.must(['find', '/var/lib/k0s', '/var/lib/kubelet', '-mindepth', '1'])).trim(), '')
    assert.equal((await host.must(['sh', '-c', 'find /sys/fs/cgroup -name "kubepods*" | wc -l'])).trim(), '0')
  })

  it('can be repeated', async () => {
    assert.equal((await host.k0s(['reset'])).code, 0)
  })

  it('stays in the status of the tunnel as lost until its Node is deleted', async () => {
    const state = async (): Promise<string | undefined> => {
      const { stdout } = await cluster.controller.k0s(['status', '-o', 'json'])
      const { Tunnel } = JSON.parse(stdout) as { Tunnel: { Workers: { name: string; state: string }[] } }
      return Tunnel.Workers.find(({ name }) => name === host.name)?.state
    }
    assert.equal(await state(), 'lost')
    await cluster.mustKubectl(['delete', 'node', host.name])
    assert.equal(await state(), undefined)
  })

  it('makes way for a fresh start with the other role, without a reboot', async () => {
    await cluster.start(host, ['controller'])
    const { stdout } = await host.k0s(['kubectl', 'get', '--raw', '/readyz'])
    assert.equal(stdout, 'ok')
    const child = await host.spawn([k0sExecutable, 'stop'], 'stop')
    await ended(child)
    await eventually('everything has ended', 60_000, async () => assert.deepEqual(await leftOn(host), []))
  })

  it('ends what a killed supervisor left, kine and the tunnel server too, and removes the store', async () => {
    assert.equal((await host.k0s(['reset'])).code, 0)
    await cluster.start(host, ['controller', '--single'])
    const isRunning = async (part: string): Promise<void> => {
      assert.ok(
        (await host.processes()).some(({ name, argv }) => name === part || argv.includes(part)),
        part,
      )
    }
    for (const part of ['kine', 'konnectivity-server', 'containerd-shim-runc-v2']) {
      await eventually(`${part} runs`, 60_000, () => isRunning(part))
    }
    process.kill((await cluster.supervisor(host)).pid, 'SIGKILL')
    await isRunning('kine')
    const { code, stderr } = await host.k0s(['reset'], { timeoutMs: 120_000 })
    assert.equal(code, 0, stderr)
    assert.deepEqual(await leftOn(host), [])
    assert.equal((await host.must(['find', '/var/lib/k0s', '-mindepth', '1'])).trim(), '')
  })
})

/** Names of what runs on a host besides its own init. */
async function leftOn(host: Host): Promise<readonly string[]> {
  return (await host.processes()).map(({ name }) => name).filter((name) => name !== 'sleep')
}

function volumePod(node: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'precious', namespace: 'default' },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image: testImage('tools'),
          command: ['sh', '-c', 'echo precious >/volume/data; while :; do sleep 3600; done'],
          volumeMounts: [{ name: 'volume', mountPath: '/volume' }],
        },
      ],
      volumes: [{ name: 'volume', hostPath: { path: VOLUME } }],
    },
  }
}
