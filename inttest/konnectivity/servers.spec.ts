import assert from 'node:assert/strict'
import { eventually } from '#inttest/common/eventually.ts'
import { Balancer } from '#inttest/konnectivity/balancer.ts'
import { agentPort } from '#inttest/konnectivity/programs.ts'
import { TunnelHosts } from '#inttest/konnectivity/tunnel-hosts.ts'
import type { TunnelServer } from '#inttest/konnectivity/running.ts'

const AGENTS = 2
const FOUND_MS = 60_000

describe('several servers behind one address', function () {
  this.timeout(300_000)
  let hosts: TunnelHosts
  let balancer: Balancer
  const servers: TunnelServer[] = []
  before(async () => {
    hosts = await TunnelHosts.up(AGENTS)
    balancer = await Balancer.start(hosts.network.gateway, hosts.server.address)
  })
  after(async () => {
    await balancer[Symbol.asyncDispose]()
    await hosts[Symbol.asyncDispose]()
  })

  /** Starts server `index`, or starts it again, where it tells agents that there are `count`. */
  async function start(index: number, count: number): Promise<void> {
    await servers[index]?.running.signal('SIGKILL')
    servers[index] = await hosts.startServer('http-connect-uds', { index, count })
  }
  /** Each agent has exactly one connection to each of the first `count` servers, and dials through each of them work. */
  async function connected(count: number): Promise<void> {
    const began = Date.now()
    await eventually(`one connection of each agent to ${String(count)} servers`, FOUND_MS, async () => {
      for (const server of servers.slice(0, count)) {
        assert.equal((await server.metrics()).sum('ready_backend_connections'), AGENTS)
      }
    })
    console.log(`      found after ${((Date.now() - began) / 1000).toFixed(1)} s`)
    for (const server of servers.slice(0, count)) {
      await hosts.client(server, 'transfer', [`--to=${hosts.endpoint(1)}`, '--up=100000', '--down=100000'])
    }
  }

  it('one server', async () => {
    await start(0, 1)
    balancer.targets = [agentPort(0)]
    for (let at = 0; at < AGENTS; at += 1) {
      await hosts.startAgent(at, { server: hosts.network.gateway, port: balancer.port })
      await hosts.startEndpoint(at)
    }
    await connected(1)
  })

  it('become three: every agent finds each of them, once', async () => {
    balancer.targets = [0, 1, 2].map(agentPort)
    for (const index of [1, 2, 0]) await start(index, 3)
    await connected(3)
  })

  it('become two: connections go on through those that stay', async () => {
    const held = await hosts.startClient(servers[0]!, 'hold', [`--to=${hosts.endpoint(0)}`, '--every=50ms'])
    await held.event('open')
    balancer.targets = [0, 1].map(agentPort)
    await servers[2]!.running.signal('SIGKILL')
    await connected(2)
    assert.deepEqual(
      (await held.events()).map(({ event }) => event),
      ['open'],
    )
    for (const index of [0, 1]) await start(index, 2)
    await connected(2)
  })
})
