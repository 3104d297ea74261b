import { once } from 'node:events'
import { connect } from 'node:net'
import { cp, mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '#inttest/common/eventually.ts'
import { Host } from '#inttest/common/host.ts'
import { namesOf } from '#inttest/common/names.ts'
import { Network } from '#inttest/common/network.ts'
import { must } from '#inttest/common/run.ts'
import {
  agentArgs,
  agentProgram,
  clientArgs,
  serverArgs,
  serverProgram,
  tunnelClient,
} from '#inttest/konnectivity/programs.ts'
import type { AgentFlags, Frontend } from '#inttest/konnectivity/programs.ts'
import { Running, TunnelServer } from '#inttest/konnectivity/running.ts'
import type { Event } from '#inttest/konnectivity/running.ts'

/** On every host: an authority, and a certificate for each end. */
const PKI = '/mnt/pki'
const ENDPOINT_PORT = 9000
/** An address (RFC 5737) for dials that nobody answers, once `blackHole` was called; agent 0 claims it. */
export const BLACK_HOLE = '192.0.2.1'
const LIVE_MS = 30_000

/** A host for servers and some for agents, on one network, with the certificates of all. */
export class TunnelHosts implements AsyncDisposable {
  readonly network: Network
  readonly server: Host
  readonly agents: readonly Host[]
  readonly #dir: string
  readonly #running: Running[] = []
  #count = 0

  private constructor(agents: number) {
    const names = namesOf('test-konnectivity')
    this.#dir = join(tmpdir(), `${names.prefix}-konnectivity`)
    this.network = new Network(names)
    const host = (name: string, number: number): Host =>
      new Host({ name, number, dir: join(this.#dir, name) }, { names, network: this.network })
    this.server = host('tunnel-server', 10)
    this.agents = Array.from({ length: agents }, (_, i) => host(`agent-${String(i)}`, 20 + i))
  }

  /** Boots the hosts; nothing of the tunnel runs on them yet. */
  static async up(agents = 2): Promise<TunnelHosts> {
    const hosts = new TunnelHosts(agents)
    await hosts.#remove() // what an aborted run left
    try {
      await hosts.network.create()
      await Promise.all(hosts.#hosts.map((host) => host.boot()))
      await hosts.#certificates()
      // A resolver that answers at once that it is not there, instead of the machine's own.
      await Promise.all(hosts.agents.map((host) => host.write('/etc/resolv.conf', 'nameserver 127.0.0.1\n')))
      return hosts
    } catch (error) {
      await hosts.#remove()
      throw error
    }
  }

  /** Starts a tunnel server on its host and waits until it answers. */
  async startServer(
    frontend: Frontend,
    {
      index = 0,
      count = 1,
      more = [],
    }: { readonly index?: number; readonly count?: number; readonly more?: readonly string[] } = {},
  ): Promise<TunnelServer> {
    const flags = { frontend, address: this.server.address, pki: PKI, index, count }
    const running = await this.#start(this.server, [...serverProgram().argv, ...serverArgs(flags), ...more], 'server')
    const server = new TunnelServer(running, flags)
    await eventually(`server ${String(index)} answers`, LIVE_MS, () => server.metrics())
    return server
  }

  /** Starts an agent on host `at`; see `TunnelServer.untilAgents` for its connection. */
  async startAgent(
    at: number,
    flags: Partial<AgentFlags> & { readonly more?: readonly string[] } = {},
  ): Promise<Running> {
    const host = this.agent(at)
    const identifiers = `ipv4=${host.address}${at === 0 ? `&ipv4=${BLACK_HOLE}` : ''}`
    const all = { id: host.name, identifiers, address: host.address, server: this.server.address, pki: PKI, ...flags }
    return this.#start(host, [...agentProgram().argv, ...agentArgs(all), ...(flags.more ?? [])], 'agent')
  }

  /** Starts the endpoint on agent host `at`: see `embedded-bins/tunnel-client/endpoint.go`. */
  async startEndpoint(at: number, port = ENDPOINT_PORT): Promise<Running> {
    const running = await this.#start(
      this.agent(at),
      [tunnelClient, 'endpoint', `--listen=:${String(port)}`],
      'endpoint',
    )
    await eventually(`endpoint ${String(at)} listens`, LIVE_MS, async () => {
      const socket = connect(port, this.agent(at).address)
      await once(socket, 'connect')
      socket.destroy()
    })
    return running
  }

  /** The endpoint's address: that of the agent's host, so that the dial is for that agent. */
  endpoint(at: number): string {
    return `${this.agent(at).address}:${String(ENDPOINT_PORT)}`
  }

  /** Runs a client on the server's host to its end and returns its one line. */
  async client<T>(server: TunnelServer, command: string, args: readonly string[], timeoutMs = 120_000): Promise<T> {
    const argv = [tunnelClient, command, ...clientArgs(server.flags), ...args]
    return JSON.parse(await this.server.must(argv, { timeoutMs })) as T
  }

  /** Runs a client that tells several events to its end. */
  async clientLines(server: TunnelServer, command: string, args: readonly string[]): Promise<readonly Event[]> {
    const text = await this.server.must([tunnelClient, command, ...clientArgs(server.flags), ...args])
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Event)
  }

  /** Starts a client on the server's host. */
  async startClient(server: TunnelServer, command: string, args: readonly string[]): Promise<Running> {
    return this.#start(this.server, [tunnelClient, command, ...clientArgs(server.flags), ...args], 'client')
  }

  /** From now on these agents' hosts drop what they send to `BLACK_HOLE`. */
  async blackHole(...at: readonly number[]): Promise<void> {
    const rules = `
      table inet inttest
      delete table inet inttest
      table inet inttest {
        chain output {
          type filter hook output priority 0
          ip daddr ${BLACK_HOLE} drop
        }
      }
    `
    await Promise.all(at.map((i) => this.agent(i).must(['nft', '-f', '-'], { input: rules })))
  }

  agent(at: number): Host {
    const host = this.agents[at]
    if (host === undefined) throw new Error(`there is no agent host ${String(at)}`)
    return host
  }

  /** Ends every program; the hosts stay. */
  async endPrograms(): Promise<void> {
    await Promise.all(this.#running.splice(0).map((running) => running[Symbol.asyncDispose]()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#remove()
  }

  get #hosts(): readonly Host[] {
    return [this.server, ...this.agents]
  }

  async #start(host: Host, argv: readonly string[], kind: string): Promise<Running> {
    this.#count += 1
    const log = `${kind}-${String(this.#count)}`
    const running = new Running(await host.spawn(argv, log), { host, argv, log })
    this.#running.push(running)
    return running
  }

  async #certificates(): Promise<void> {
    const dir = join(this.#dir, 'pki')
    await mkdir(dir, { recursive: true })
    const agents = this.agents.map(({ name }) => `${name}=k0s:tunnel-agent:${name}/k0s:tunnel-agents`)
    const ips = this.#hosts.map(({ address }) => address).concat(this.network.gateway, '127.0.0.1')
    await must([
      tunnelClient,
      'certificates',
      `--dir=${dir}`,
      `--ips=${ips.join(',')}`,
      'server=konnectivity-server',
      'client=kube-apiserver',
      ...agents,
    ])
    await Promise.all(this.#hosts.map((host) => cp(dir, host.diskPath(PKI), { recursive: true })))
  }

  async #remove(): Promise<void> {
    await this.endPrograms()
    for (const host of this.#hosts) await host.remove()
    await this.network.remove()
    await rm(this.#dir, { recursive: true, force: true })
  }
}
