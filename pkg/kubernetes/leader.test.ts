import assert from 'node:assert/strict'
import { describe, it, beforeEach, afterEach } from 'mocha'
import { once } from 'node:events'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { LeaderElection } from '#pkg/kubernetes/leader.ts'
import type { Lease } from '#pkg/kubernetes/lease.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import { fail, FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

describe('LeaderElection', () => {
  let server: FakeApiServer
  let client: KubeClient
  let stop: AbortController
  let leaders: string[]
  beforeEach(async () => {
    server = await FakeApiServer.start()
    client = new KubeClient({ server: server.url })
    stop = new AbortController()
    leaders = []
  })
  afterEach(async () => {
    stop.abort(new Error('test over'))
    client.close()
    await server.stop()
  })

  const campaign = async (
    identity: string,
    { signal = stop.signal, client: by = client }: { signal?: AbortSignal; client?: KubeClient } = {},
  ): Promise<void> => {
    const timing = { leaseDurationMs: 300, renewDeadlineMs: 200, retryPeriodMs: 20 }
    const election = new LeaderElection(
      { namespace: 'kube-system', name: 'k0s', identity, ...timing },
      { client: by, log: silentLogger },
    )
    await election.run(signal, async (leading) => {
      leaders.push(identity)
      if (!leading.aborted) await once(leading, 'abort')
      leaders.push(`-${identity}`)
    })
  }

  it('lets one lead at a time and hands over at once on a clean stop', async () => {
    const first = new AbortController()
    const a = campaign('a', { signal: first.signal })
    await until(() => leaders.length === 1)
    const b = campaign('b')
    await new Promise((resolve) => setTimeout(resolve, 60))
    assert.deepEqual(leaders, ['a'])
    first.abort(new Error('stop'))
    await a
    await until(() => leaders.length === 3)
    assert.deepEqual(leaders, ['a', '-a', 'b'])
    stop.abort(new Error('stop'))
    await b
  })

  const holder = (): unknown => {
    const lease = server.find(inNamespace(resources.leases, 'kube-system'), 'k0s')
    return (lease?.['spec'] as { holderIdentity?: string } | undefined)?.holderIdentity
  }

  for (const [method, what] of [
    ['POST', 'acquisition'],
    ['PUT', 'renewal'],
  ] as const) {
    it(`gives the lease back although its ${what} is under way when it stops`, async () => {
      const [underWay, stopping] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()]
      server.intercept = async (request) => {
        if (request.method !== method) return false
        underWay.resolve(undefined)
        await stopping.promise
        return false
      }
      const running = campaign('a')
      await underWay.promise
      stop.abort(new Error('stop'))
      stopping.resolve(undefined)
      await running
      assert.equal(holder(), '')
    })
  }

  it('gives the lease back although a late renewal comes between', async () => {
    let conflicts = 0
    server.intercept = ({ method, body }, response) => {
      const isRelease = method === 'PUT' && (body as Lease).spec?.holderIdentity === ''
      if (!isRelease || conflicts > 0) return false
      conflicts += 1
      fail(response, 409, 'Conflict', 'the object has been modified')
      return true
    }
    const running = campaign('a')
    await until(() => leaders.length === 1)
    stop.abort(new Error('stop'))
    await running
    assert.equal(conflicts, 1)
    assert.equal(holder(), '')
  })

  it('stops leading as soon as the lease is seen to be with another', async () => {
    const timing = { leaseDurationMs: 90_000, renewDeadlineMs: 60_000, retryPeriodMs: 20 }
    const election = new LeaderElection(
      { namespace: 'kube-system', name: 'k0s', identity: 'a', ...timing },
      { client, log: silentLogger },
    )
    const running = election.run(stop.signal, async (leading) => {
      const leases = inNamespace(resources.leases, 'kube-system')
      const lease = await client.get(leases, 'k0s')
      await client.patch(leases, 'k0s', { spec: { holderIdentity: 'b' } }, { type: 'merge' })
      assert.equal((lease['spec'] as { holderIdentity: string }).holderIdentity, 'a')
      if (!leading.aborted) await once(leading, 'abort')
      leaders.push('-a')
    })
    await until(() => leaders.length === 1)
    stop.abort(new Error('stop'))
    await running
  })

  it('takes a lease that nobody renews, and its own at once', async () => {
    const spec = {
      holderIdentity: 'dead',
      leaseDurationSeconds: 0.1,
      renewTime: '2099-01-01T00:00:00.000000Z',
      leaseTransitions: 4,
    }
    server.add({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'k0s', namespace: 'kube-system' },
      spec,
    })
    const b = campaign('b')
    await until(() => leaders.length === 1)
    const lease = server.find(inNamespace(resources.leases, 'kube-system'), 'k0s')?.['spec'] as {
      leaseTransitions: number
    }
    assert.equal(lease.leaseTransitions, 5)
    stop.abort(new Error('stop'))
    await b
  })

  it('does not wait a whole period for an API server that is just starting', async () => {
    let refused = 0
    server.intercept = ({ method }, response) => {
      if (method !== 'POST' || refused === 2) return false
      refused += 1
      fail(response, 404, 'NotFound', 'namespaces "kube-system" not found')
      return true
    }
    const election = new LeaderElection(
      { namespace: 'kube-system', name: 'k0s', identity: 'a', retryPeriodMs: 3_600_000 },
      { client, log: silentLogger },
    )
    await new Promise<void>((resolve) => {
      void election.run(stop.signal, async () => {
        resolve()
        await Promise.resolve()
      })
    })
    assert.equal(refused, 2)
  })

  it('stops leading before the lease can expire when it cannot be renewed', async () => {
    const a = campaign('a')
    await until(() => leaders.length === 1)
    const other = new KubeClient({ server: server.url, userAgent: 'b' })
    const b = campaign('b', { client: other })
    server.intercept = ({ headers }, response) => {
      if (headers['user-agent'] === 'b') return false
      fail(response, 500, 'InternalError', 'no store')
      return true
    }
    await until(() => leaders.length === 3)
    assert.deepEqual(leaders, ['a', '-a', 'b'])
    stop.abort(new Error('stop'))
    await Promise.all([a, b])
    other.close()
  })
})
