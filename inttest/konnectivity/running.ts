import type { ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host, HostProcess } from '#inttest/common/host.ts'
import { ended } from '#inttest/common/run.ts'
import { adminPort, serverProgram } from '#inttest/konnectivity/programs.ts'
import type { ServerFlags } from '#inttest/konnectivity/programs.ts'

const LIVE_MS = 30_000

/** A program that runs on a host of the tunnel. */
export class Running implements AsyncDisposable {
  readonly child: ChildProcess
  readonly host: Host
  readonly #argv: readonly string[]
  readonly #log: string

  constructor(
    child: ChildProcess,
    { host, argv, log }: { readonly host: Host; readonly argv: readonly string[]; readonly log: string },
  ) {
    this.child = child
    this.host = host
    this.#argv = argv
    this.#log = log
  }

  /** Sends a signal and, where it ends the program, waits for that. */
  async signal(name: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    if (name === 'SIGSTOP' || name === 'SIGCONT') {
      // Not its parent: a parent that is stopped would keep the host from going down.
      process.kill((await this.process()).pid, name)
      return
    }
    this.send(name)
    await this.ended()
  }

  /** Sends a signal. */
  send(name: 'SIGTERM' | 'SIGKILL'): void {
    // The group: the program is a child of the one that entered the host for it.
    if (this.child.exitCode === null && this.child.signalCode === null) process.kill(-(this.child.pid ?? 0), name)
  }

  /** Resolves once it has ended by itself or by a signal. */
  async ended(): Promise<void> {
    await ended(this.child)
  }

  /** The process of the program itself, on this machine. */
  async process(): Promise<HostProcess> {
    const [program = ''] = this.#argv
    const found = (await this.host.processes()).filter(({ argv }) => {
      const own = argv.join(' ').endsWith(this.#argv.slice(1).join(' '))
      return own && (argv[0] === program || argv.some((arg) => arg.endsWith('main.mjs')))
    })
    if (found.length !== 1) throw new Error(`${String(found.length)} processes are ${this.#argv.join(' ')}`)
    return found[0] as HostProcess
  }

  /** What it wrote so far. */
  async output(): Promise<string> {
    return readFile(join(this.host.dir, `${this.#log}.log`), 'utf8')
  }

  /** Its lines of JSON. */
  async events(): Promise<readonly Event[]> {
    const lines = (await this.output()).split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'))
    return lines.map((line) => JSON.parse(line) as Event)
  }

  /** The first of its events of a kind, once it is there. */
  async event(name: string, timeoutMs = LIVE_MS): Promise<Event> {
    return eventually(`${name} of a client`, timeoutMs, async () => {
      const found = (await this.events()).find(({ event }) => event === name)
      if (found === undefined) throw new Error((await this.output()).trim().slice(-500))
      return found
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.signal('SIGKILL')
  }
}

/** A line of `tunnel-client hold` or `tunnel-client endpoint`. */
export interface Event {
  readonly event?: string
  readonly atMs: number
  readonly bytes?: number
  readonly error?: string
  readonly remote?: string
  readonly command?: string
  readonly read?: number
}

/** A running server with what it says of itself. */
export class TunnelServer {
  readonly running: Running
  readonly flags: ServerFlags

  constructor(running: Running, flags: ServerFlags) {
    this.running = running
    this.flags = flags
  }

  /** Its metrics page; the names are upstream's. */
  async metrics(): Promise<Metrics> {
    const url = `http://${this.flags.address}:${String(adminPort(this.flags.index))}/metrics`
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) })
    return new Metrics(await response.text())
  }

  /** Waits until so many agents are connected. */
  async untilAgents(count: number, timeoutMs = LIVE_MS): Promise<void> {
    await eventually(`${String(count)} agents connected`, timeoutMs, async () => {
      const backends = (await this.metrics()).sum('ready_backend_connections')
      if (backends !== count) throw new Error(`${String(backends)} are`)
    })
  }

  /** Waits until nothing is open or pending. Upstream's server forgets connections when a dial is given up: it is not asked. */
  async untilIdle(timeoutMs = LIVE_MS): Promise<void> {
    if (!serverProgram().ours) return
    await eventually('no connection and no dial left', timeoutMs, async () => {
      const metrics = await this.metrics()
      const left = ['established_connections', 'pending_backend_dials'].map((name) => [name, metrics.sum(name)])
      if (left.some(([, value]) => value !== 0)) throw new Error(JSON.stringify(left))
    })
  }
}

/** A page of metrics of a tunnel server. */
export class Metrics {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The sum over all labels; 0 where there is none. */
  sum(name: string): number {
    const pattern = new RegExp(`^konnectivity_network_proxy_server_${name}(?:\\{.*\\})? (\\S+)$`, 'gm')
    return [...this.#text.matchAll(pattern)].reduce((sum, [, value]) => sum + Number(value), 0)
  }
}
