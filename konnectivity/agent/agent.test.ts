import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { KonnectivityAgent } from '#konnectivity/agent/agent.ts'
import { runKonnectivityAgent } from '#konnectivity/agent/run.ts'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, startEndpoint } from '#konnectivity/testing/endpoints.ts'
import { agentSubject, TunnelFixture } from '#konnectivity/testing/runners.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

describe('KonnectivityAgent', function () {
  this.timeout(20_000)
  let fixture: TunnelFixture
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  it('serves several servers and follows their list', async () => {
    await using endpoint = await startEndpoint(echo)
    const [a, b, c] = await Promise.all([fixture.startServer(), fixture.startServer(), fixture.startServer()])
    const agent = await fixture.startAgent('worker-0', [a.addresses.agentPort, b.addresses.agentPort])
    const kept = await connectThrough(b.udsName, endpoint.address)
    agent.setServers([b, c].map(({ addresses }) => ({ host: '127.0.0.1', port: addresses.agentPort })))
    await until(() => c.server.status().agents.length === 1, 'the new server has the agent')
    await until(() => a.server.status().agents.length === 0, 'the removed server lost it')
    kept.socket.resume().write('still here')
    assert.equal(String(await once(kept.socket, 'data')), 'still here')
    assert.deepEqual(
      agent.status().map(({ state, openConnections }) => [state, openConnections]),
      [
        ['connected', 1],
        ['connected', 0],
      ],
    )
    kept.socket.destroy()
  })

  it('reports a server that is not there, and finds it when it comes', async () => {
    const { certPem, keyPem } = await fixture.ca.issue(agentSubject('worker-0'))
    const first = await fixture.startServer()
    const { agentPort } = first.addresses
    await first.server.stop()
    const agent = new KonnectivityAgent(
      {
        nodeName: 'worker-0',
        identifiers: {},
        servers: [{ host: '127.0.0.1', port: agentPort }],
        tls: { caPem: fixture.ca.caPem, certPem, keyPem },
      },
      { log: silentLogger },
    )
    fixture.defer(() => agent.stop())
    agent.start()
    await until(() => agent.status()[0]?.lastError?.includes('ECONNREFUSED') === true, 'the reason is shown')
    const second = await fixture.startServer({ agentPort })
    await until(() => second.server.status().agents.length === 1, 'the agent is back', 2_500)
    await until(() => agent.status()[0]?.lastError === undefined, 'the error is forgotten')
  })

  it('drains: no new dial, busy connections go on, silent ones end', async () => {
    await using endpoint = await startEndpoint(echo)
    const { addresses, udsName, server } = await fixture.startServer()
    const agent = await fixture.startAgent('worker-0', [addresses.agentPort])
    const [busy, silent] = [
      await connectThrough(udsName, endpoint.address),
      await connectThrough(udsName, endpoint.address),
    ]
    const beat = setInterval(() => busy.socket.write('.'), 50)
    busy.socket.resume()
    silent.socket.resume()
    const startedAt = performance.now()
    const stopped = agent.stop({ drainMs: 3_000 })
    await until(() => server.status().agents[0]?.draining === true, 'the server knows')
    await once(silent.socket, 'end')
    assert.ok(performance.now() - startedAt < 2_500, 'silent connections do not wait for the end')
    assert.equal(busy.socket.readableEnded, false)
    await stopped
    clearInterval(beat)
    assert.ok(performance.now() - startedAt >= 2_900)
    for (const { socket } of [busy, silent]) socket.on('error', () => undefined).destroy()
  })

  it('replaces a connection that has had all its dials, and leaves what is open on it in peace', async () => {
    await using endpoint = await startEndpoint(echo)
    const { addresses, udsName } = await fixture.startServer()
    const agent = await fixture.startAgent('worker-0', [addresses.agentPort], { dialsPerConnection: 5 })
    const call = async (): Promise<Socket> => {
      const { status, reply, socket } = await connectThrough(udsName, endpoint.address)
      assert.equal(status, 200, reply)
      return socket
    }
    const kept = await call()
    for (let i = 0; i < 12; i += 1) {
      const socket = await call()
      socket.resume().write('x')
      await once(socket, 'data')
      socket.destroy()
    }
    const states = (): string =>
      agent
        .status()
        .map(({ state }) => state)
        .join()
    await until(() => /^draining,.*connected$/.test(states()), 'another connection serves')
    assert.equal(agent.status()[0]?.openConnections, 1)
    kept.resume().write('still here')
    assert.equal(String(await once(kept, 'data')), 'still here')
    kept.destroy()
  })

  it('runs as a command with health and metrics', async () => {
    const { addresses } = await fixture.startServer()
    const certificate = await fixture.ca.issue(agentSubject('worker-0'))
    const stop = new AbortController()
    const ports = { healthServerPort: 18_931, adminServerPort: 18_932 }
    const running = runKonnectivityAgent(
      {
        proxyServerHost: ['127.0.0.1'],
        proxyServerPort: addresses.agentPort,
        caCert: fixture.ca.caPath,
        agentCert: certificate.certPath,
        agentKey: certificate.keyPath,
        ...ports,
      },
      { log: silentLogger, signal: stop.signal },
    )
    const get = async (path: string): Promise<Response | undefined> =>
      fetch(`http://127.0.0.1:${ports.healthServerPort}${path}`).catch(() => undefined)
    while ((await get('/readyz'))?.status !== 200) await new Promise((resolve) => setTimeout(resolve, 20))
    const page = await (await get('/metrics'))?.text()
    assert.match(page ?? '', /^konnectivity_network_proxy_agent_open_server_connections 1$/m)
    stop.abort()
    await running
    assert.equal(await get('/healthz'), undefined)
  })
})
