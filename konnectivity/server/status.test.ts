import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, startEndpoint } from '#konnectivity/testing/endpoints.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import { TcpProxy } from '#konnectivity/testing/tcp-proxy.ts'

describe('status of the tunnel server', () => {
  let fixture: TunnelFixture
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  it('counts open connections and bytes of each agent while they are open and afterwards', async () => {
    const { server, addresses, udsName } = await fixture.startServer()
    await using endpoint = await startEndpoint(echo)
    await fixture.startAgent('worker-0', [addresses.agentPort], { identifiers: { ipv4: ['127.0.0.1'] } })
    await fixture.startAgent('worker-1', [addresses.agentPort])
    const { socket } = await connectThrough(udsName, endpoint.address)
    socket.resume().write('hello')
    await once(socket, 'data')
    const carried = (): readonly unknown[] =>
      server
        .status()
        .agents.map(({ node, openConnections, bytesToEndpoints, bytesFromEndpoints }) => [
          node,
          openConnections,
          bytesToEndpoints,
          bytesFromEndpoints,
        ])
        .sort()
    assert.deepEqual(carried(), [
      ['worker-0', 1, 5, 5],
      ['worker-1', 0, 0, 0],
    ])
    socket.destroy()
    await until(() => server.status().openConnections === 0, 'it is closed')
    assert.deepEqual(carried()[0], ['worker-0', 0, 5, 5])
  })

  it('names agents by the address that people know, over IPv4 too', async () => {
    const { server, addresses } = await fixture.startServer()
    await fixture.startAgent('worker-0', [addresses.agentPort])
    const remotes = (): readonly string[] => server.status().agents.map(({ remote }) => remote)
    assert.deepEqual(remotes(), ['127.0.0.1'])
  })

  it('remembers which agent was lost, how often and why, and whether it had said so', async () => {
    const { server, addresses } = await fixture.startServer()
    await using proxy = await TcpProxy.start(addresses.agentPort)
    const cut = await fixture.startAgent('worker-0', [proxy.port])
    const drained = await fixture.startAgent('worker-1', [addresses.agentPort])
    proxy.cut()
    await until(() => cut.status()[0]?.disconnects === 1 && server.status().agents.length === 2, 'it is back', 5_000)
    await drained.stop({ drainMs: 1_000 })
    await until(() => server.status().losses.length === 2, 'both losses are known')
    const losses = server.status().losses.map(({ node, drained, count }) => ({ node, drained, count }))
    assert.deepEqual(losses, [
      { node: 'worker-0', drained: false, count: 1 },
      { node: 'worker-1', drained: true, count: 1 },
    ])
    assert.ok(server.status().losses.every(({ reason }) => reason !== ''))
  })
})
