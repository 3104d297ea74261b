import assert from 'node:assert/strict'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'
import { TcpProxy } from '#konnectivity/testing/tcp-proxy.ts'

describe('servers behind one address', function () {
  this.timeout(30_000)
  let fixture: TunnelFixture
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  const discovery = { syncIntervalMs: 50, syncIntervalCapMs: 200 }
  const servers = (count: number): Promise<RunningServer[]> =>
    Promise.all(Array.from({ length: count }, () => fixture.startServer({ serverCount: count })))
  const agents = (running: readonly RunningServer[]): number[] =>
    running.map(({ server }) => server.status().agents.length)

  it('finds as many as the servers say, with one connection to each', async () => {
    const running = await servers(3)
    await using balancer = await TcpProxy.start(...running.map(({ addresses }) => addresses.agentPort))
    const agent = await fixture.startAgent('worker-0', [balancer.port], { discovery })
    await until(() => agent.status().length === 3, 'all are found')
    assert.deepEqual(agents(running), [1, 1, 1])
    assert.equal(new Set(agent.status().map(({ serverId }) => serverId)).size, 3)
    assert.deepEqual([...new Set(agent.status().map(({ server }) => server))], [`127.0.0.1:${balancer.port}`])
  })

  it('closes duplicates, keeps the oldest connection, and finds a server that returns', async () => {
    const running = await servers(2)
    const [first, second] = running as [RunningServer, RunningServer]
    const ports = running.map(({ addresses }) => addresses.agentPort)
    // Two of three connections lead to the same server.
    await using balancer = await TcpProxy.start(ports[0] as number, ports[0] as number, ports[1] as number)
    const agent = await fixture.startAgent('worker-0', [balancer.port], { discovery })
    await until(() => agent.status().length === 2, 'both are found')
    const since = agent.status()[0]?.connectedSince
    await second.server.stop()
    await until(() => agent.status().length === 1, 'the loss is known')
    await until(() => agent.status()[0]?.lastError !== undefined || agents([first])[0] === 1, 'it is looked for')
    const again = await fixture.startServer({ serverCount: 2, agentPort: ports[1] as number })
    await until(() => agents([again])[0] === 1, 'it is found again')
    await until(() => agents([first])[0] === 1, 'duplicates are closed')
    assert.equal(agent.status()[0]?.connectedSince, since)
  })

  it('goes on looking where it is told to', async () => {
    const running = await Promise.all([1, 2].map(() => fixture.startServer({ serverCount: 1 })))
    await using balancer = await TcpProxy.start(...running.map(({ addresses }) => addresses.agentPort))
    const agent = await fixture.startAgent('worker-0', [balancer.port], {
      discovery: { ...discovery, syncForever: true },
    })
    await until(() => agent.status().length === 2, 'the one that nobody counted is found')
    const other = await fixture.startAgent('worker-1', [balancer.port], { discovery })
    assert.equal(other.status().length, 1)
  })

  it('keeps one connection where two addresses lead to one server', async () => {
    const [only] = (await servers(1)) as [RunningServer]
    await using balancer = await TcpProxy.start(only.addresses.agentPort)
    const agent = await fixture.startAgent('worker-0', [only.addresses.agentPort], { discovery })
    agent.setServers([only.addresses.agentPort, balancer.port].map((port) => ({ host: '127.0.0.1', port })))
    await until(() => agent.status().length === 2, 'the second address is known')
    await until(() => agents([only])[0] === 1, 'its connection was closed')
    assert.deepEqual(
      agent.status().map(({ state }) => state === 'connected'),
      [true, false],
    )
    assert.equal(agent.metrics.openServers.render().split('\n').at(-1)?.split(' ').at(-1), '1')
  })

  it('follows the number of leases', async () => {
    const running = await servers(1)
    const more = await servers(1)
    const all = [...running, ...more]
    await using balancer = await TcpProxy.start(...all.map(({ addresses }) => addresses.agentPort))
    let count = 1
    const agent = await fixture.startAgent(
      'worker-0',
      [balancer.port],
      { discovery },
      { leases: { count: () => count } },
    )
    assert.equal(agent.status().length, 1)
    count = 2
    agent.serverCountChanged()
    await until(() => agent.status().length === 2, 'the second is found')
    assert.deepEqual(agents(all), [1, 1])
  })
})
