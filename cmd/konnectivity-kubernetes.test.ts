import assert from 'node:assert/strict'
import { followServerLeases, kubeLeaseStore, kubeTokenReviewer } from '#cmd/konnectivity-kubernetes.ts'
import { LeaseCounter } from '#konnectivity/agent/lease-counter.ts'
import { createAgentMetrics } from '#konnectivity/agent/metrics.ts'
import { LeaseController } from '#konnectivity/server/lease-controller.ts'
import { createServerMetrics } from '#konnectivity/server/metrics.ts'
import { tokenAuthenticator } from '#konnectivity/server/token-authenticator.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const none = (): number => 0
const serverMetrics = () =>
  createServerMetrics({
    grpcFrontends: none,
    agentStreams: none,
    httpFrontends: none,
    backends: () => [],
    pendingDials: none,
    established: none,
    blocked: () => ({ frontends: 0, agents: 0 }),
    unproven: none,
    bufferBytes: none,
  })

describe('tunnel and Kubernetes', function () {
  this.timeout(30_000) // also on a loaded machine
  let api: FakeApiServer
  let client: KubeClient
  beforeEach(async () => {
    api = await FakeApiServer.start()
    client = new KubeClient({ server: api.url })
  })
  afterEach(async () => {
    client.close()
    await api[Symbol.asyncDispose]()
  })

  const labels = { 'k8s-app': 'konnectivity-server' }
  const store = () => kubeLeaseStore({ namespace: 'kube-system', labels }, client)
  const names = async () => (await store().list({ signal: AbortSignal.timeout(5_000) })).map(({ name }) => name)
  const controller = (serverId: string, metrics = serverMetrics()) =>
    new LeaseController(
      { serverId, renewEveryMs: 30, collectEveryMs: 30 },
      { leases: store(), metrics, log: silentLogger },
    )
  async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 5_000
    while (!(await check())) assert.ok(performance.now() < deadline, what)
  }
  const expired = (name: string) =>
    api.add({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace: 'kube-system', labels },
      spec: { leaseDurationSeconds: 30, renewTime: '2020-01-01T00:00:00.000000Z' },
    })

  it('keeps a lease for each server, counts them, and deletes its own at the end', async () => {
    const [a, b] = [controller('a'), controller('b')]
    a.start()
    b.start()
    let changes = 0
    const counter = new LeaseCounter({ onChange: () => (changes += 1) })
    assert.equal(counter.count(), undefined)
    const stop = new AbortController()
    const metrics = createAgentMetrics({
      openServers: none,
      knownServers: none,
      openEndpoints: none,
      bufferBytes: none,
    })
    const following = followServerLeases(
      client,
      { namespace: 'kube-system', labelSelector: 'k8s-app=konnectivity-server' },
      { onLeases: (leases) => counter.update(leases), metrics, signal: stop.signal, log: silentLogger },
    )
    await until(() => counter.count() === 2, 'both are counted')
    await b.stop()
    await until(() => counter.count() === 1, 'the end of one is known')
    assert.deepEqual(await names(), ['konnectivity-proxy-server-a'])
    const before = (await store().list({ signal: stop.signal }))[0]?.renewedAt?.getTime() ?? 0
    await eventually('it is renewed', async () => {
      const [lease] = await store().list({ signal: AbortSignal.timeout(5_000) })
      return (lease?.renewedAt?.getTime() ?? 0) > before
    })
    await a.stop()
    stop.abort()
    await following
    assert.ok(changes >= 2 && changes < 10, `${changes} changes although only renewals came`)
    assert.match(metrics.leaseLists.render(), /lease_lists_total\{http_response_code="200",reason=""\} 1/)
  })

  for (const [method, renewal] of [
    ['POST', 'first'],
    ['PUT', 'later'],
  ] as const) {
    it(`deletes its lease although its ${renewal} renewal is under way when it stops`, async () => {
      const [underWay, stopping] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()]
      api.intercept = async (request) => {
        if (request.method !== method) return false
        underWay.resolve(undefined)
        await stopping.promise
        return false
      }
      const running = controller('a')
      running.start()
      await underWay.promise
      const stopped = running.stop()
      stopping.resolve(undefined)
      await stopped
      assert.deepEqual(await names(), [])
    })
  }

  it('collects leases of servers that are gone, and no other', async () => {
    expired('konnectivity-proxy-server-gone')
    api.add({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'somebody-elses', namespace: 'kube-system' },
      spec: { leaseDurationSeconds: 1, renewTime: '2020-01-01T00:00:00.000000Z' },
    })
    const metrics = serverMetrics()
    const running = controller('a', metrics)
    running.start()
    await eventually('it is collected', async () => (await names()).join() === 'konnectivity-proxy-server-a')
    await until(() => /culled_leases_count 1$/.test(metrics.culledLeases.render()), 'it is counted')
    await running.stop()
    await client.get(
      { group: 'coordination.k8s.io', version: 'v1', resource: 'leases', namespace: 'kube-system' },
      'somebody-elses',
    )
  })

  it('goes on after failures of the API server, and counts them', async () => {
    let failing = true
    api.intercept = (_, response) => {
      if (!failing) return false
      response.writeHead(503).end('not now')
      return true
    }
    const metrics = serverMetrics()
    const running = controller('a', metrics)
    running.start()
    await until(() => metrics.leaseLists.render().includes('http_status_code="503"'), 'a failure is counted')
    failing = false
    await eventually('it is there', async () => (await names()).length === 1)
    await running.stop()
  })

  it('leaves a lease that a successor of the same name has renewed', async () => {
    const [old, fresh] = [controller('a'), controller('a')]
    old.start()
    await eventually('it is there', async () => (await names()).length === 1)
    fresh.start()
    await old.stop()
    await eventually('it stays', async () => (await names()).length === 1)
    await fresh.stop()
    assert.deepEqual(await names(), [])
  })

  describe('authentication by TokenReview', () => {
    const accepted = 'system:serviceaccount:kube-system:konnectivity-agent'
    /** Reviews as the API server does: by what the token says in clear text. */
    beforeEach(() => {
      api.intercept = ({ path, body }, response) => {
        if (path !== '/apis/authentication.k8s.io/v1/tokenreviews') return false
        const { token, audiences } = (body as { spec: { token: string; audiences: string[] } }).spec
        const [username = '', audience = ''] = token.split('/').map((part) => part.replaceAll('.', ':'))
        const ok = token !== 'expired' && audiences.includes(audience)
        const status = ok ? { authenticated: true, user: { username }, audiences } : { error: 'no' }
        response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ status }))
        return true
      }
    })
    const authenticate = (authorization: string | undefined) =>
      tokenAuthenticator(
        {
          agentNamespace: 'kube-system',
          agentServiceAccount: 'konnectivity-agent',
          authenticationAudience: 'tunnel',
        },
        { reviewer: kubeTokenReviewer(client) },
      ).authenticate({ verified: false, verifyError: undefined, certificate: undefined, authorization })
    const token = (username: string, audience: string) => `${username.replaceAll(':', '.')}/${audience}`

    it('accepts a token of the account for the audience', async () => {
      assert.deepEqual(await authenticate(`Bearer ${token(accepted, 'tunnel')}`), { nodeName: undefined })
    })

    it('refuses every other', async () => {
      const good = token(accepted, 'tunnel')
      for (const [authorization, reason] of [
        [undefined, /no token/],
        ['', /not exactly one/],
        [good, /not exactly one/],
        [`Basic ${good}`, /not exactly one/],
        [`Bearer ${good}, Bearer ${good}`, /not exactly one/],
        [`Bearer ${good} `, /not exactly one/],
        [`Bearer ${'x'.repeat(20_000)}`, /not exactly one/],
        ['Bearer expired', /token not valid/],
        [`Bearer ${token(accepted, 'other')}`, /token not valid/],
        [`Bearer ${token('system:serviceaccount:default:konnectivity-agent', 'tunnel')}`, /another account/],
        [`Bearer ${token('system:serviceaccount:kube-system:konnectivity-agent:x', 'tunnel')}`, /another account/],
        [`Bearer ${token('kube-system:konnectivity-agent', 'tunnel')}`, /another account/],
      ] as const) {
        await assert.rejects(authenticate(authorization), reason, authorization)
      }
    })

    it('asks each time, and says so when nobody answers', async () => {
      const before = api.requests.length
      await authenticate(`Bearer ${token(accepted, 'tunnel')}`)
      await authenticate(`Bearer ${token(accepted, 'tunnel')}`)
      assert.equal(api.requests.length, before + 2)
      api.intercept = (_, response) => {
        response.writeHead(503).end()
        return true
      }
      await assert.rejects(authenticate('Bearer x'), { name: 'AgentUnverifiedError' })
    })
  })
})
