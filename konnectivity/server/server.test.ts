import assert from 'node:assert/strict'
import { once } from 'node:events'
import { statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { runKonnectivityServer } from '#konnectivity/server/run.ts'
import { connectOn, connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, startEndpoint } from '#konnectivity/testing/endpoints.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { renderMetrics } from '#konnectivity/tunnel/metrics.ts'
import { TunnelListenError } from '#konnectivity/tunnel/listen.ts'
import { TunnelFileError } from '#konnectivity/tunnel/pem.ts'

/** Names in upstream's pkg/server/metrics and pkg/agent/metrics. */
const SERVER_METRICS = [
  'dial_duration_seconds',
  'frontend_write_duration_seconds',
  'connection_duration_seconds',
  'grpc_connections',
  'http_connections',
  'ready_backend_connections',
  'ready_backends',
  'pending_backend_dials',
  'established_connections',
  'full_receive_channels',
  'dial_failure_count',
  'culled_leases_count',
  'lease_delete_latency_seconds',
  'lease_delete_total',
  'lease_list_latency_seconds',
  'lease_list_total',
  'stream_packets_total',
  'stream_errors_total',
]
const AGENT_METRICS = [
  'dial_duration_seconds',
  'server_connection_failure_count',
  'endpoint_dial_failure_total',
  'open_server_connections',
  'known_server_count',
  'open_endpoint_connections',
  'lease_lists_total',
  'lease_watches_total',
  'lease_list_latency_seconds',
  'stream_packets_total',
  'stream_errors_total',
]

describe('KonnectivityServer', function () {
  this.timeout(120_000) // also on a loaded machine
  let fixture: TunnelFixture
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  it('is ready once an agent is connected', async () => {
    const { addresses } = await fixture.startServer()
    const get = async (path: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${addresses.healthPort}${path}`)).status
    assert.deepEqual(
      await Promise.all([get('/healthz'), get('/readyz'), get('/ready'), get('/x')]),
      [200, 500, 500, 404],
    )
    await fixture.startAgent('worker-0', [addresses.agentPort])
    assert.deepEqual(await Promise.all([get('/readyz'), get('/ready')]), [200, 200])
  })

  it('survives requests that are none', async () => {
    const { addresses } = await fixture.startServer()
    for (const target of ['//', '/__proto__', 'http://[', '/healthz?x']) {
      const socket = connect({ port: addresses.healthPort, host: '127.0.0.1' })
      socket.end(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      const [answer] = (await once(socket, 'data')) as [Buffer]
      assert.match(answer.toString(), target.startsWith('/healthz') ? /^HTTP\/1.1 200/ : /^HTTP\/1.1 404/, target)
    }
  })

  it('shows agents, connections and failures under upstream names', async () => {
    await using endpoint = await startEndpoint(echo)
    const { addresses, udsName } = await fixture.startServer()
    await connectThrough(udsName, endpoint.address)
    await fixture.startAgent('worker-0', [addresses.agentPort])
    const { socket } = await connectThrough(udsName, endpoint.address)
    const page = await (await fetch(`http://127.0.0.1:${addresses.adminPort}/metrics`)).text()
    for (const line of [
      'konnectivity_network_proxy_server_ready_backends{proxy_strategy="destHost"} 1',
      'konnectivity_network_proxy_server_ready_backend_connections 1',
      'konnectivity_network_proxy_server_established_connections 1',
      'konnectivity_network_proxy_server_pending_backend_dials 0',
      'konnectivity_network_proxy_server_dial_failure_count{reason="no_agent"} 1',
      'konnectivity_network_proxy_server_dial_duration_seconds_count 1',
    ]) {
      assert.ok(page.split('\n').includes(line), `${line}\n\n${page}`)
    }
    const status = (await (await fetch(`http://127.0.0.1:${addresses.adminPort}/status`)).json()) as {
      agents: { node: string }[]
      openConnections: number
    }
    assert.equal(status.agents[0]?.node, 'worker-0')
    assert.equal(status.openConnections, 1)
    socket.destroy()
  })

  it('has every metric of upstream', async () => {
    const { addresses } = await fixture.startServer()
    const page = await (await fetch(`http://127.0.0.1:${addresses.healthPort}/metrics`)).text()
    const agent = await fixture.startAgent('worker-0', [addresses.agentPort])
    for (const [program, names, text] of [
      ['server', SERVER_METRICS, page],
      ['agent', AGENT_METRICS, renderMetrics(agent.metrics)],
    ] as const) {
      for (const name of names)
        assert.match(text, new RegExp(`^# TYPE konnectivity_network_proxy_${program}_${name} `, 'm'))
    }
  })

  it('keeps its socket from others and replaces one that was left behind', async () => {
    const udsName = join(fixture.ca.dir, 'closed', 'frontend.sock')
    const first = await fixture.startServer({ udsName })
    assert.equal(statSync(udsName).mode & 0o777, 0o770)
    assert.equal(statSync(join(udsName, '..')).mode & 0o777, 0o750)
    await fixture.startServer({ udsName })
    assert.equal((await connectThrough(udsName, '127.0.0.1:1')).status, 503)
    await first.server.stop()
  })

  it('does not remove what is not a socket', async () => {
    const udsName = join(fixture.ca.dir, 'precious')
    writeFileSync(udsName, 'data')
    await assert.rejects(fixture.startServer({ udsName }), TunnelListenError)
  })

  it('serves CONNECT over TCP to clients with a certificate, and nobody else', async () => {
    await using endpoint = await startEndpoint(echo)
    const certificate = await fixture.ca.issue({ commonName: 'frontend' })
    const { addresses } = await fixture.startServer({
      udsName: undefined as never,
      serverPort: 0,
      serverBindAddress: '127.0.0.1',
      serverCert: certificate.certPath,
      serverKey: certificate.keyPath,
      serverCaCert: fixture.ca.caPath,
    })
    await fixture.startAgent('worker-0', [addresses.agentPort])
    const options = { host: '127.0.0.1', port: addresses.serverPort ?? 0, ca: fixture.ca.caPem }
    const known = connectTls({ ...options, cert: certificate.certPem, key: certificate.keyPem })
    const { status, socket } = await connectOn(known, endpoint.address)
    assert.equal(status, 200)
    socket.resume().write('hello')
    assert.equal(String(await once(socket, 'data')), 'hello')
    socket.destroy()
    await assert.rejects(connectOn(connectTls(options), endpoint.address))
  })

  it('names the port that is taken and the file that is missing, and leaves nothing open', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as { port: number }
    await assert.rejects(fixture.startServer({ adminPort: port }), (error) => {
      assert.ok(error instanceof TunnelListenError)
      assert.match(error.message, new RegExp(`127.0.0.1:${port} \\(tunnel admin\\): address in use`))
      return true
    })
    holder.close()
    await assert.rejects(fixture.startServer({ clusterKey: '/nonexistent/key' }), (error) => {
      assert.ok(error instanceof TunnelFileError)
      assert.match(error.message, /nonexistent.*--cluster-key/)
      return true
    })
  })

  it('stops when its signal aborts', async () => {
    const certificate = await fixture.ca.issue({ commonName: 'server' })
    const stop = new AbortController()
    const udsName = join(fixture.ca.dir, 'run.sock')
    const running = runKonnectivityServer(
      {
        udsName,
        agentPort: 0,
        healthPort: 0,
        adminPort: 0,
        clusterCert: certificate.certPath,
        clusterKey: certificate.keyPath,
        clusterCaCert: fixture.ca.caPath,
      },
      { log: silentLogger, signal: stop.signal },
    )
    const listening = (): boolean => statSync(udsName, { throwIfNoEntry: false }) !== undefined
    await until(listening, 'the socket exists')
    stop.abort()
    await running
    assert.equal(listening(), false)
  })
})
