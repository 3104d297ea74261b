import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { echo, startEndpoint } from '#konnectivity/testing/endpoints.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'

/** Of each flow; `make check-konnectivity` does 10,000. */
const DIALS = Number(process.env['K0S_TUNNEL_DIALS'] ?? 5_000)
const PARALLEL = 100

describe(`${String(2 * DIALS)} dials and aborts`, function () {
  this.timeout(300_000)
  for (const flow of ['streams', 'packets'] as const) {
    it(`leave nothing behind with ${flow}`, async () => {
      await using fixture = await TunnelFixture.create({ createCa, issueCertificate })
      const { server, addresses, udsName } = await fixture.startServer()
      const agent = await fixture.startAgent('worker-0', [addresses.agentPort], { flow })
      assert.equal(agent.status()[0]?.flow, flow)
      await using endpoint = await startEndpoint(echo)
      const connections = (): Readonly<Record<string, number>> => ({
        open: server.status().openConnections,
        pending: server.status().agents[0]?.pendingDials ?? 0,
        agent: agent.status()[0]?.openConnections ?? 0,
        endpoints: endpoint.sockets.size,
      })
      const closed = (): boolean => Object.values(connections()).every((count) => count === 0)
      const round = (size: number): Promise<unknown> =>
        Promise.all(Array.from({ length: size }, (_, i) => abort(udsName, endpoint.address, i)))
      await round(PARALLEL)
      await until(closed, 'the first ones are closed', 30_000)
      const before = resources()
      for (let done = 0; done < DIALS; done += PARALLEL) await round(PARALLEL)
      await until(closed, 'all is closed', 30_000).catch(() => undefined)
      assert.ok(closed(), JSON.stringify(connections()))
      const more = (): string[] =>
        Object.entries(resources())
          .filter(([kind, n]) => n > (before[kind] ?? 0))
          .map(String)
      await until(() => more().length === 0, 'everything is released', 30_000).catch(() => undefined)
      assert.deepEqual(more(), [])
    })
  }
})

/** Dials and leaves before, during or after the dial, or with bytes under way. */
async function abort(udsName: string, address: string, i: number): Promise<void> {
  const socket = connect(udsName)
  socket.on('error', () => undefined)
  socket.write(`CONNECT ${address} HTTP/1.1\r\n\r\n`)
  if (i % 4 === 0) await once(socket, 'connect')
  if (i % 4 === 1) await new Promise((resolve) => setImmediate(resolve))
  if (i % 4 >= 2) await once(socket, 'data')
  if (i % 4 === 3) socket.write('x'.repeat(10_000))
  socket.destroy()
  await once(socket, 'close')
}

/** What this process has open: descriptors, timers, sockets. */
function resources(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = { descriptors: readdirSync('/proc/self/fd').length }
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}
