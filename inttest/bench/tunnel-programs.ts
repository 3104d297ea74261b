import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { k0sExecutable } from '#inttest/common/names.ts'
import type { Dial } from '#inttest/bench/tunnel-load.ts'
import { freePort } from '#pkg/kine/testing/servers.ts'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { eventually } from '#inttest/common/eventually.ts'

/** One program under measurement; it ends with its owner, also if that is interrupted. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #log: string

  constructor(argv: readonly string[], log: string) {
    const file = openSync(log, 'a')
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], { stdio: ['ignore', file, file] })
    closeSync(file)
    this.#log = log
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Resolves once `ready` does. @throws with the end of its output when it exits before or is not ready in time */
  async until(ready: () => Promise<void>): Promise<this> {
    try {
      await eventually('the program serves', 60_000, async () => {
        if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error('it ended')
        await ready()
      })
      return this
    } catch (cause) {
      throw new Error(`${(cause as Error).message}\n${(await readFile(this.#log, 'utf8')).slice(-2000)}`, { cause })
    }
  }

  /** Resolves once it has said that it listens. */
  announced(): Promise<this> {
    return this.until(async () => {
      if (!(await readFile(this.#log, 'utf8')).includes('listening')) throw new Error('not yet')
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }
}

/** Where a benchmark's files are, and the port of what is at the far end of each tunnel. */
export interface Surroundings {
  readonly dir: string
  readonly endpointPort: number
}

/** The two halves of a tunnel. */
export class TunnelPair implements AsyncDisposable {
  readonly name: string
  readonly dial: Dial
  readonly programs: readonly Program[]

  constructor(name: string, dial: Dial, programs: readonly Program[]) {
    this.name = name
    this.dial = dial
    this.programs = programs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.programs.toReversed()) await program[Symbol.asyncDispose]()
  }
}

/** A server that speaks upstream's flags, with a CONNECT frontend on a unix socket. */
export interface TunnelServer {
  readonly program: Program
  readonly socket: string
  readonly agentPort: number
}

/** Starts a server: the product's, or the one at `executable`. */
export async function startServer(name: string, argv: readonly string[], dir: string): Promise<TunnelServer> {
  const [agentPort, adminPort, healthPort] = [await freePort(), await freePort(), await freePort()]
  const socket = join(dir, `${name}-${String(agentPort)}.sock`)
  const args = [...argv, '--mode=http-connect', `--uds-name=${socket}`, '--server-port=0', `--agent-port=${agentPort}`]
  args.push(`--admin-port=${adminPort}`, `--health-port=${healthPort}`, `--cluster-ca-cert=${dir}/ca.crt`)
  args.push(`--cluster-cert=${dir}/server.crt`, `--cluster-key=${dir}/server.key`)
  const program = new Program(args, join(dir, `${name}-server.log`))
  return { program: await program.until(() => connectable(agentPort)), socket, agentPort }
}

/** The product's server and agent, or upstream's where their executables are given. */
export async function tunnel(
  name: string,
  { server, agent }: { readonly server: readonly string[]; readonly agent: readonly string[] },
  { dir, endpointPort }: Surroundings,
): Promise<TunnelPair> {
  const { program, socket, agentPort } = await startServer(name, server, dir)
  const args = [...agent, '--proxy-server-host=127.0.0.1', `--proxy-server-port=${agentPort}`, '--agent-id=bench']
  args.push(`--ca-cert=${dir}/ca.crt`, `--agent-cert=${dir}/agent.crt`, `--agent-key=${dir}/agent.key`)
  args.push(`--health-server-port=${await freePort()}`, `--admin-server-port=${await freePort()}`)
  const agentProgram = new Program(args, join(dir, `${name}-agent.log`))
  const dial: Dial = async () => {
    const connected = await connectThrough(socket, `127.0.0.1:${String(endpointPort)}`)
    if (connected.status !== 200) throw new Error(`${name}: ${connected.reply}`)
    return connected.socket
  }
  await agentProgram.until(async () => void (await dial()).destroy())
  return new TunnelPair(name, dial, [program, agentProgram])
}

/** The product's commands. */
export const ours = {
  server: [k0sExecutable, 'konnectivity-server'],
  agent: [k0sExecutable, 'konnectivity-agent'],
} as const

/** Upstream's programs, where both variables name them. */
export function upstream(): { readonly server: readonly string[]; readonly agent: readonly string[] } | undefined {
  const { KONNECTIVITY_SERVER: server, KONNECTIVITY_AGENT: agent } = process.env
  return server === undefined || agent === undefined ? undefined : { server: [server], agent: [agent] }
}

/** Two relays of this benchmark. */
export async function relays({ dir, endpointPort }: Surroundings): Promise<TunnelPair> {
  const [port, socket, script] = [
    await freePort(),
    join(dir, 'relay.sock'),
    join(import.meta.dirname, 'tunnel-relay.ts'),
  ]
  const start = (...args: readonly string[]): Promise<Program> =>
    new Program([process.execPath, script, ...args], join(dir, `relay-${args[0] ?? ''}.log`)).announced()
  const back = await start('back', String(port), String(endpointPort), dir)
  const front = await start('front', socket, String(port), dir)
  const dial: Dial = () =>
    new Promise((resolve, reject) => {
      const client = net.connect({ path: socket }, () => resolve(client.off('error', reject)))
      client.once('error', reject)
    })
  return new TunnelPair('bare relay', dial, [front, back])
}

function connectable(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = net.connect({ host: '127.0.0.1', port }, () => resolve(void probe.destroy()))
    probe.once('error', reject)
  })
}
