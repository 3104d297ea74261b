import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { agentProgram, serverProgram } from '#inttest/konnectivity/programs.ts'
import { BLACK_HOLE, TunnelHosts } from '#inttest/konnectivity/tunnel-hosts.ts'
import type { Event, Running, TunnelServer } from '#inttest/konnectivity/running.ts'
import { eventually } from '#inttest/common/eventually.ts'

const MIB = 1024 * 1024
/** Those that are made, and as many that are given up. */
const DIALS = Number(process.env['K0S_TUNNEL_DIALS'] ?? 500)
const ours = serverProgram().ours && agentProgram().ours

describe('dials through the tunnel, and how connections end', () => {
  let hosts: TunnelHosts
  before(async () => {
    hosts = await TunnelHosts.up(3)
  })
  after(() => hosts[Symbol.asyncDispose]())

  for (const frontend of ['http-connect-uds', 'grpc-uds'] as const) {
    describe(frontend, () => {
      let server: TunnelServer
      let agents: readonly Running[]
      let endpoints: readonly Running[]
      before(async () => {
        server = await hosts.startServer(frontend)
        agents = await Promise.all([0, 1].map((at) => hosts.startAgent(at)))
        endpoints = await Promise.all([0, 1, 2].map((at) => hosts.startEndpoint(at)))
        await server.untilAgents(2)
      })
      afterEach(() => server.untilIdle())
      after(() => hosts.endPrograms())

      /** The outcome of one connection that is held until it ends. */
      const hold = (to: string, ...args: readonly string[]): Promise<readonly Event[]> =>
        hosts.clientLines(server, 'hold', [`--to=${to}`, ...args])
      const served = (at: number, command: string): Promise<Event> =>
        eventually(`endpoint ${String(at)} has served ${command}`, 30_000, async () => {
          const found = (await endpoints[at]!.events()).findLast((event) => event.command === command)
          if (found === undefined) throw new Error('not yet')
          return found
        })

      it('leave from the host that the address belongs to, and from any for an address of nobody', async () => {
        for (const [at, sources] of [
          [0, [0]],
          [1, [1]],
          [2, [0, 1]],
        ] as const) {
          await hold(hosts.endpoint(at), '--command=finish 3')
          const from = (await served(at, 'finish 3')).remote?.replace(/:\d+$/, '')
          assert.ok(
            sources.some((source) => hosts.agent(source).address === from),
            `${String(from)} is not of ${String(at)}`,
          )
        }
      })

      it('say why when nobody listens', async () => {
        const [refused] = await hold(`${hosts.agent(0).address}:1`)
        assert.equal(refused?.event, 'refused')
        assert.match(refused.error ?? '', /refused/i)
      })

      it('say why when a name does not resolve', async () => {
        const [refused] = await hold('does-not-exist.invalid:80')
        assert.equal(refused?.event, 'refused')
        assert.match(refused.error ?? '', /no such host|not found|ENOTFOUND|EAI_AGAIN|lookup|server misbehaving/i)
      })

      it('end when nobody answers', async () => {
        await hosts.blackHole(0, 1)
        const began = Date.now()
        const [refused] = await hold(`${BLACK_HOLE}:80`)
        assert.equal(refused?.event, 'refused')
        assert.ok(refused.atMs - began < 15_000)
        console.log(`      ${((refused.atMs - began) / 1000).toFixed(1)} s: ${refused.error ?? ''}`)
      })

      it('deliver what an endpoint sent before it ended, however late it is read', async () => {
        const bytes = 3 * MIB
        const events = await hold(hosts.endpoint(0), `--command=finish ${String(bytes)}`, '--read-after=1s')
        assert.deepEqual(
          events.map(({ event, bytes: read, error }) => [event, read, error]),
          [
            ['open', undefined, undefined],
            ['ended', bytes, undefined],
          ],
        )
      })

      it('deliver what a client sent before it closed', async function () {
        if (!agentProgram().ours) this.skip() // upstream's agent closes the endpoint at CLOSE_REQ, whatever it has queued for it
        const bytes = 8 * MIB
        await hold(hosts.endpoint(1), '--command=drain', `--write=${String(bytes)}`)
        assert.equal((await served(1, 'drain')).read, bytes)
      })

      it('end when an endpoint resets its connection', async () => {
        const began = Date.now()
        const events = await hold(hosts.endpoint(0), '--command=reset 1000')
        assert.equal(events.at(-1)?.event, 'ended')
        assert.ok((events.at(-1)?.atMs ?? 0) - began < 15_000)
      })

      it(`leave no descriptor open: ${String(DIALS)} dials and ${String(DIALS)} that are given up`, async function () {
        this.timeout(900_000)
        if (!ours) this.skip() // counted on the processes of ours
        const dials = (...more: readonly string[]): Promise<unknown> =>
          hosts.client(
            server,
            'dials',
            [`--to=${hosts.endpoint(0)}`, `--count=${String(DIALS)}`, '--parallel=8', ...more],
            300_000,
          )
        await dials()
        await server.untilIdle()
        const descriptors = async (): Promise<readonly number[]> => Promise.all([server.running, ...agents].map(count))
        const before = await descriptors()
        await dials('--abort')
        await dials()
        await eventually('no more descriptors than before', 30_000, async () => {
          const now = await descriptors()
          const grown = now.some((open, i) => open > (before[i] ?? 0))
          if (grown) throw new Error(`${now.join(', ')}; before: ${before.join(', ')}`)
        })
        console.log(`      descriptors of the server and the agents: ${before.join(', ')}`)
      })
    })
  }
})

/** Open descriptors of a program. */
async function count(running: Running): Promise<number> {
  return (await readdir(`/proc/${String((await running.process()).pid)}/fd`)).length
}
