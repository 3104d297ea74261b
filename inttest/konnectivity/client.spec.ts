import assert from 'node:assert/strict'
import { frontends } from '#inttest/konnectivity/programs.ts'
import { TunnelHosts } from '#inttest/konnectivity/tunnel-hosts.ts'
import type { TunnelServer } from '#inttest/konnectivity/running.ts'

const MIB = 1024 * 1024
/** `make check-konnectivity` moves a whole GiB. */
const BYTES = Number(process.env['K0S_TUNNEL_BYTES'] ?? 16 * MIB)

interface Transferred {
  readonly bytes: number
  readonly mibPerSecond: number
}
interface Dials {
  readonly succeeded: number
  readonly failed: number
  readonly errors: Readonly<Record<string, number>>
  readonly p99Ms: number
}

describe("upstream's client through the tunnel", () => {
  let hosts: TunnelHosts
  before(async () => {
    hosts = await TunnelHosts.up()
  })
  after(() => hosts[Symbol.asyncDispose]())

  for (const frontend of frontends) {
    describe(frontend, () => {
      let server: TunnelServer
      before(async () => {
        server = await hosts.startServer(frontend)
        await Promise.all([0, 1].map((at) => hosts.startAgent(at)))
        await Promise.all([0, 1].map((at) => hosts.startEndpoint(at)))
        await server.untilAgents(2)
      })
      afterEach(() => server.untilIdle())
      after(() => hosts.endPrograms())

      for (const [name, up, down] of [
        ['to the endpoint', BYTES, 0],
        ['from the endpoint', 0, BYTES],
        ['both ways at once', BYTES, BYTES],
      ] as const) {
        it(`carries ${String(BYTES / MIB)} MiB ${name}, byte for byte, in chunks of 1 byte to 1 MiB`, async function () {
          this.timeout(600_000)
          const args = [`--to=${hosts.endpoint(0)}`, `--up=${String(up)}`, `--down=${String(down)}`]
          const { mibPerSecond } = await hosts.client<Transferred>(server, 'transfer', args, 590_000)
          console.log(`      ${mibPerSecond.toFixed(0)} MiB/s`)
        })
      }

      it('carries 16 connections at once, byte for byte', async () => {
        const args = [`--to=${hosts.endpoint(1)}`, '--connections=16', `--up=${String(MIB)}`, `--down=${String(MIB)}`]
        assert.equal((await hosts.client<Transferred>(server, 'transfer', args)).bytes, 16 * 2 * MIB)
      })

      it('dials again and again, and leaves nothing open', async () => {
        const args = [`--to=${hosts.endpoint(0)}`, '--count=500', '--parallel=4']
        const { succeeded, errors, p99Ms } = await hosts.client<Dials>(server, 'dials', args)
        assert.deepEqual([succeeded, errors], [500, {}])
        console.log(`      p99 of a dial with one byte each way: ${p99Ms.toFixed(1)} ms`)
      })

      it('forgets dials that are given up while they are answered', async () => {
        const args = [`--to=${hosts.endpoint(0)}`, '--count=1000', '--parallel=8', '--abort']
        const { succeeded, failed } = await hosts.client<Dials>(server, 'dials', args)
        assert.equal(succeeded + failed, 1000)
        assert.ok(failed > 0, 'no dial was given up')
        console.log(`      ${String(failed)} of 1000 given up`)
      })
    })
  }
})
