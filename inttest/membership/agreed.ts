import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'

/** The lease of one that left is removed after 25 s of silence, its endpoint after 15 s; the workers' tunnels follow. */
const WITHIN_MS = 150_000

/** Everything that says who the controllers of a cluster are: it follows within a while. Prints how long that took. */
export async function untilAgreed(cluster: Cluster, controllers: readonly Host[]): Promise<void> {
  const beganMs = Date.now()
  const names = controllers.map(({ name }) => name).sort()
  const addresses = controllers.map(({ address }) => address).sort()
  const views: readonly (readonly [string, () => Promise<void>])[] = [
    ['members of etcd', () => membersAre(controllers, names)],
    ['EtcdMember objects', async () => assert.deepEqual(await joinedObjects(cluster), names)],
    ['leases', async () => assert.deepEqual(await leases(cluster), names)],
    ['endpoints of the kubernetes Service', async () => assert.deepEqual(await endpoints(cluster), addresses)],
    ...cluster.workers.flatMap((worker) => [
      [`the disk of ${worker.name}`, async () => assert.deepEqual(await remembered(worker), addresses)] as const,
      [`tunnel of ${worker.name}`, async () => assert.deepEqual(await tunnelTo(worker), addresses)] as const,
    ]),
  ]
  for (const [what, agrees] of views) await eventually(`${what} agree with ${names.join(', ')}`, WITHIN_MS, agrees)
  console.log(`      ${String(names.length)} known everywhere after ${((Date.now() - beganMs) / 1_000).toFixed(1)} s`)
}

/** The members of etcd as a controller lists them: `name role` each. */
export async function membersAt(host: Host): Promise<readonly string[]> {
  const { stdout, stderr, code } = await host.k0s(['etcd', 'member-list', '-o', 'table'])
  assert.equal(code, 0, stderr)
  const rows = stdout.trimEnd().split('\n').slice(1)
  return rows.map((row) => row.split(/ {2,}/).slice(0, 2).join(' ')).sort()
}

async function membersAre(controllers: readonly Host[], names: readonly string[]): Promise<void> {
  for (const host of controllers) {
    assert.deepEqual(
      await membersAt(host),
      names.map((name) => `${name} voter`),
      `in the eyes of ${host.name}`,
    )
  }
}

/** One that its object made leave keeps that object, for whoever wants to see the result. */
async function joinedObjects(cluster: Cluster): Promise<readonly string[]> {
  const { items } = (await cluster.get(['etcdmembers'])) as {
    items: { metadata: { name: string }; status?: { conditions?: { status: string }[] } }[]
  }
  const isJoined = ({ status }: (typeof items)[number]): boolean => status?.conditions?.[0]?.status === 'True'
  return items
    .filter(isJoined)
    .map(({ metadata }) => metadata.name)
    .sort()
}

async function leases(cluster: Cluster): Promise<readonly string[]> {
  const { items } = (await cluster.get([
    'leases',
    '-n',
    'kube-node-lease',
    '-l',
    'k0s.k0sproject.io/controller-lease=true',
  ])) as { items: { spec: { holderIdentity: string } }[] }
  return items.map(({ spec }) => spec.holderIdentity).sort()
}

async function endpoints(cluster: Cluster): Promise<readonly string[]> {
  const slice = (await cluster.get(['endpointslice', 'kubernetes'])) as { endpoints: { addresses: string[] }[] }
  return slice.endpoints.flatMap(({ addresses }) => addresses).sort()
}

async function remembered(worker: Host): Promise<readonly string[]> {
  const text = await worker.must(['cat', '/var/lib/k0s/worker-config.json'])
  const { config } = JSON.parse(text) as { config: { apiServerAddresses: readonly string[] } }
  return config.apiServerAddresses.map((address) => address.replace(/:6443$/, '')).sort()
}

/** The controllers that the worker keeps a connection to; one that it tries to reach counts as none. */
async function tunnelTo(worker: Host): Promise<readonly string[]> {
  const { stdout, stderr, code } = await worker.k0s(['status', '-o', 'json'])
  assert.equal(code, 0, stderr)
  const { Tunnel } = JSON.parse(stdout) as { Tunnel?: { Controllers?: { address: string; state: string }[] } }
  return (Tunnel?.Controllers ?? [])
    .map(({ address, state }) => `${address.replace(/:\d+$/, '')}${state === 'connected' ? '' : ` ${state}`}`)
    .sort()
}
