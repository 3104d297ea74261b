import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import {
  controllerFacts,
  controllerLease,
  controllerLeaseRef,
  type ControllerFacts,
} from '#pkg/component/cluster/controller-lease.ts'
import { leftControllers, removeWhoLeft } from '#pkg/component/cluster/left-controllers.ts'
import { apiServers } from '#pkg/component/cluster/worker-config.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const facts: ControllerFacts = {
  name: 'c0',
  apiServer: '10.0.0.1:6443',
  dnsNames: ['c0', 'api.example.org'],
  ips: ['10.0.0.1'],
  node: 'c0',
}

describe('controllers of a cluster', () => {
  const now = new Date('2030-01-02T03:04:05.678Z')
  const lease = controllerLease(facts, now)

  it('tell the others what they need in their lease', () => {
    assert.equal(lease.metadata.name, 'k0s-ctrl-c0')
    assert.equal(lease.spec?.renewTime, '2030-01-02T03:04:05.678000Z')
    assert.deepEqual(controllerFacts(lease), facts)
    const renewed = controllerLease(facts, new Date(now.getTime() + 10_000), {
      ...lease,
      metadata: { ...lease.metadata, resourceVersion: '7', labels: { mine: 'kept' } },
    })
    assert.equal(renewed.metadata.resourceVersion, '7')
    assert.equal(renewed.metadata.labels?.['mine'], 'kept')
    assert.equal(renewed.spec?.acquireTime, '2030-01-02T03:04:05.678000Z')
  })

  it('are not those who hold the lease of another name, or one without addresses', () => {
    assert.equal(controllerFacts({ ...lease, metadata: { ...lease.metadata, name: 'w0' } }), undefined)
    assert.equal(controllerFacts({ ...lease, spec: { ...lease.spec, holderIdentity: 'c1' } }), undefined)
    assert.equal(controllerFacts({ ...lease, metadata: { ...lease.metadata, annotations: {} } }), undefined)
  })

  it('are told to workers each once, in one order, this one among them', () => {
    assert.deepEqual(apiServers(['b:1'], [{ apiServer: 'c:1' }, { apiServer: 'a:1' }, { apiServer: 'b:1' }]), [
      'a:1',
      'b:1',
      'c:1',
    ])
  })

  it('have left when etcd does not know them, or after an hour without etcd', () => {
    const silent = (name: string, ms: number) => ({ ...facts, name, silentMs: () => ms, version: () => '' })
    const names = (members: readonly string[] | undefined): readonly string[] =>
      leftControllers([silent('c0', 30_000), silent('c1', 3_600_001)], members).map(({ name }) => name)
    assert.deepEqual(names(['c0']), ['c1'])
    assert.deepEqual(names(['c0', 'c1']), [])
    assert.deepEqual(names(undefined), ['c1'])
  })

  it('lose their leases once they have left, but not when they come back just then', async () => {
    await using server = await FakeApiServer.start()
    const client = new KubeClient({ server: server.url })
    const known = ['c0', 'c1'].map((name) => {
      const { metadata } = server.add(controllerLease({ ...facts, name }, now))
      return { ...facts, name, silentMs: () => 30_000, version: () => metadata.resourceVersion ?? '' }
    })
    const isThere = (name: string): boolean => server.find(controllerLeaseRef, `k0s-ctrl-${name}`) !== undefined
    const memberNames = (): Promise<readonly string[]> => {
      server.add(controllerLease({ ...facts, name: 'c1' }, new Date(now.getTime() + 10_000)))
      return Promise.resolve([])
    }
    const { signal } = new AbortController()
    await removeWhoLeft({ controllers: { all: () => known }, memberNames }, { client, signal, log: silentLogger })
    client.close()
    assert.deepEqual([isThere('c0'), isThere('c1')], [false, true])
  })
})
