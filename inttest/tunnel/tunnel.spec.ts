import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { Cluster } from '#inttest/common/cluster.ts'
import type { Host } from '#inttest/common/host.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { podIP, SERVE, startPods } from '#inttest/common/pods.ts'
import { k0sExecutable } from '#inttest/common/names.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'

const MIB = 1024 * 1024
/** They tell who asks. The API server keeps connections to a pod: each is for one case. */
const ECHOES = ['tunnel-echo-0', 'tunnel-echo-1'] as const

describe('the tunnel is the only way from the controller to workers and pods', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await sharedCluster('isolated')
    await startPods(cluster, [
      { name: 'tunnel-web', node: cluster.worker.name, command: SERVE },
      { name: 'tunnel-shell', node: cluster.workers[1]!.name },
      ...ECHOES.map((name) => ({
        name,
        node: cluster.workers[1]!.name,
        image: 'agnhost' as const,
        command: ['/agnhost', 'netexec', '--http-port=8080', '--udp-port=-1'],
      })),
    ])
    await dropNewConnections(cluster)
  })

  after(async () => {
    await forgetRules(cluster.controller)
    await cluster.mustKubectl(['delete', 'pod', 'tunnel-web', 'tunnel-shell', ...ECHOES, '--wait=false'])
  })

  it('has no other: a direct connection to the kubelet is dropped', async () => {
    const script = `fetch('https://${cluster.worker.address}:10250/',{signal:AbortSignal.timeout(1500)}).catch((e)=>console.log(e.name))`
    assert.equal((await cluster.controller.must([process.execPath, '-e', script])).trim(), 'TimeoutError')
  })

  it('carries kubectl exec', async () => {
    assert.equal((await cluster.exec('tunnel-shell', ['hostname'])).trim(), 'tunnel-shell')
  })

  it('carries the exit code and standard input of kubectl exec', async () => {
    const { code, stdout } = await cluster.kubectl(['exec', '-i', 'tunnel-shell', '--', 'sh', '-c', 'cat; exit 7'], {
      input: 'over',
    })
    assert.deepEqual([code, stdout], [7, 'over'])
  })

  it('carries kubectl logs -f while lines are written', async () => {
    const name = 'tunnel-ticks'
    await startPods(cluster, [{ name, command: ['sh', '-c', 'for i in $(seq 1 8); do echo tick $i; sleep 0.5; done'] }])
    const logs = await cluster.mustKubectl(['logs', '-f', name])
    assert.deepEqual(
      logs.trim().split('\n'),
      Array.from({ length: 8 }, (_, i) => `tick ${String(i + 1)}`),
    )
    await cluster.mustKubectl(['delete', 'pod', name, '--wait=false'])
  })

  it('carries kubectl port-forward', async () => {
    const forward = await cluster.controller.spawn(
      [k0sExecutable, 'kubectl', 'port-forward', 'pod/tunnel-web', '18080:8080'],
      'port-forward',
    )
    try {
      const page = await eventually('a page through port-forward', 30_000, () =>
        cluster.controller.must([
          process.execPath,
          '-e',
          "fetch('http://127.0.0.1:18080/').then((r)=>r.text()).then((t)=>process.stdout.write(t))",
        ]),
      )
      assert.equal(page.trim(), 'tunnel-web')
    } finally {
      process.kill(-forward.pid!, 'SIGTERM')
      if (forward.exitCode === null && forward.signalCode === null) await once(forward, 'exit')
    }
  })

  it('carries kubectl cp of 100 MB each way with equal checksums', async () => {
    const data = randomBytes(100 * MIB)
    const sum = createHash('sha256').update(data).digest('hex')
    const { controller } = cluster
    await controller.must(['sh', '-c', 'cat >/mnt/big'], { input: data })
    await cluster.mustKubectl(['cp', '/mnt/big', 'tunnel-shell:/tmp/big'], { timeoutMs: 120_000 })
    assert.equal((await cluster.exec('tunnel-shell', ['sha256sum', '/tmp/big'])).split(' ')[0], sum)
    await cluster.mustKubectl(['cp', 'tunnel-shell:/tmp/big', '/mnt/back'], { timeoutMs: 120_000 })
    assert.equal(
      createHash('sha256')
        .update(await readFile(controller.diskPath('/mnt/back')))
        .digest('hex'),
      sum,
    )
    await controller.must(['rm', '/mnt/big', '/mnt/back'])
  })

  it('carries kubectl top nodes', async () => {
    const table = await eventually('metrics of both workers', 120_000, async () => {
      const { code, stdout, stderr } = await cluster.kubectl(['top', 'nodes', '--no-headers'])
      const lines = stdout.trim().split('\n')
      if (code !== 0 || lines.length !== cluster.workers.length || stdout.includes('<unknown>')) {
        throw new Error(stderr.trim() || stdout)
      }
      return lines
    })
    assert.match(table.join('\n'), /worker-0 +\d+m/)
  })

  it('is shown by k0s status on both ends', async () => {
    const { Workers } = await tunnelOf(cluster.controller)
    assert.deepEqual(
      Workers?.map(({ name, state }) => [name, state]),
      cluster.workers.map(({ name }) => [name, 'connected']),
    )
    assert.ok(Workers.every(({ bytesFromEndpoints }) => bytesFromEndpoints > 0))
    const { Controllers } = await tunnelOf(cluster.worker)
    assert.deepEqual(
      Controllers?.map(({ name, state }) => [name, state]),
      [[cluster.controller.name, 'connected']],
    )
    const { stdout } = await cluster.controller.k0s(['status'])
    assert.match(stdout, /^Tunnel: 2 of 2 workers connected$/m)
  })

  it('leaves for a node from that very node, which no other worker may reach', async () => {
    const [first, second] = cluster.workers as [Host, Host]
    await drop(first, `ip daddr ${second.address} tcp dport 10250`)
    await drop(second, `ip daddr ${first.address} tcp dport 10250`)
    try {
      for (let round = 0; round < 8; round += 1) {
        for (const { name } of cluster.workers) {
          assert.equal(await cluster.mustKubectl(['get', '--raw', `/api/v1/nodes/${name}/proxy/healthz`]), 'ok')
        }
      }
    } finally {
      await Promise.all([first, second].map(forgetRules))
    }
  })

  it('leaves for a pod from a worker, and from another one when that has no way to it', async () => {
    const [first, second] = cluster.workers as [Host, Host]
    const sources = async (pod: string): Promise<readonly string[]> => {
      const path = `/api/v1/namespaces/default/pods/${pod}:8080/proxy/clientip`
      const calls = Array.from({ length: 12 }, () => cluster.mustKubectl(['get', '--raw', path]))
      return Promise.all((await Promise.all(calls)).map((address) => workerOf(cluster, address)))
    }
    const [open, blocked] = ECHOES
    const all = await sources(open)
    console.log(
      `      ${cluster.workers.map(({ name }) => `${name}: ${String(all.filter((w) => w === name).length)}`).join(', ')}`,
    )
    assert.ok(all.every((worker) => cluster.workers.some(({ name }) => name === worker)))
    await drop(first, `ip daddr ${await podIP(cluster, blocked)}`, 'reject with icmp type host-unreachable')
    try {
      assert.deepEqual(new Set(await sources(blocked)), new Set([second.name]))
    } finally {
      await forgetRules(first)
    }
  })

  it('is lost with the network: an Event on the Node, and the status, say so', async () => {
    const { name, address } = cluster.worker
    await cluster.network.unplug(address)
    const began = Date.now()
    try {
      await eventually('an Event TunnelLost', 60_000, () => eventOn(cluster, name, 'TunnelLost'))
      console.log(`      told after ${((Date.now() - began) / 1000).toFixed(1)} s`)
      const lost = (await tunnelOf(cluster.controller)).Workers?.find((worker) => worker.name === name)
      assert.deepEqual([lost?.state, lost?.losses], ['lost', 1])
    } finally {
      await cluster.network.plug(address)
    }
    await eventually('an Event TunnelRestored', 60_000, () => eventOn(cluster, name, 'TunnelRestored'))
    await cluster.untilNodesReady([name])
    await cluster.exec('tunnel-web', ['true'])
  })
})

/** What `k0s status` says of the tunnel. */
async function tunnelOf(host: Host): Promise<TunnelInfo> {
  const { stdout } = await host.k0s(['status', '-o', 'json'])
  return (JSON.parse(stdout) as { Tunnel: TunnelInfo }).Tunnel
}

interface TunnelInfo {
  readonly Workers?: readonly Peer[]
  readonly Controllers?: readonly Peer[]
}
interface Peer {
  readonly name: string
  readonly state: string
  readonly losses: number
  readonly bytesFromEndpoints: number
}

/** Rejects unless the Node has such an Event. */
async function eventOn(cluster: Cluster, node: string, reason: string): Promise<void> {
  const selector = `involvedObject.kind=Node,involvedObject.name=${node},reason=${reason}`
  const { items } = await cluster.get(['events', '-n', 'default', '--field-selector', selector])
  assert.equal(items.length, 1)
}

/** Name of the worker that an address, with its port, is of: one of its own, or of the pods on it. */
async function workerOf(cluster: Cluster, address: string): Promise<string> {
  const host = address.trim().replace(/:\d+$/, '').replace('::ffff:', '')
  const { items } = await cluster.get(['nodes'])
  const found = items.find(
    (node: { status: { addresses: { address: string }[] }; spec: { podCIDR: string } }) =>
      node.status.addresses.some((one) => one.address === host) ||
      host.startsWith(node.spec.podCIDR.replace(/\.0\/24$/, '.')),
  )
  if (found === undefined) throw new Error(`${address} is of no worker`)
  return found.metadata.name as string
}

/** New connections of a host's own processes that match are dropped, until `forgetRules`. */
async function drop(host: Host, match: string, verdict = 'drop'): Promise<void> {
  const rules = `
    table inet inttest {
      chain output {
        type filter hook output priority 0
        ct state new ${match} ${verdict}
      }
    }`
  await host.must(['nft', '-f', '-'], { input: rules })
}

async function forgetRules(host: Host): Promise<void> {
  await host.must(['nft', 'delete', 'table', 'inet', 'inttest'])
}

/** No new connection from the controller's host to the workers and the pod network. */
async function dropNewConnections(cluster: Cluster): Promise<void> {
  const workers = cluster.workers.map(({ address }) => address).join(', ')
  await drop(cluster.controller, `ip daddr { ${workers}, 10.244.0.0/16, 10.96.0.0/12 }`)
}
