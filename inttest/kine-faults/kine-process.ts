import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { ended } from '#inttest/common/run.ts'
import { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'

/** How a kine is started. */
export interface KineProcessOptions {
  /** Directory of its socket. */
  readonly dir: string
  /** As for --endpoint; given in the environment, because of the password. */
  readonly endpoint: string
  readonly env?: Readonly<Record<string, string>>
}

const K0S = resolve('build/k0s')
const READY = 'kine is ready'
let sockets = 0

/** `k0s kine` as somebody would run it, in a process of its own. It ends with this one. */
export class KineProcess implements AsyncDisposable {
  /** Everything it has logged. */
  readonly log: string[] = []
  readonly address: string
  readonly #child: ChildProcess
  readonly #clients: EtcdClient[] = []

  /** Resolves once it serves; one that waits for its database does not yet. */
  static async start(options: KineProcessOptions): Promise<KineProcess> {
    const kine = KineProcess.launch(options)
    await kine.ready()
    return kine
  }

  /** Starts it without waiting for anything. */
  static launch(options: KineProcessOptions): KineProcess {
    return new KineProcess(options)
  }

  private constructor({ dir, endpoint, env }: KineProcessOptions) {
    // A path of its own each time: grpc-js would wait before it dials one again that did not answer.
    sockets += 1
    const path = join(dir, `kine-${String(sockets)}.sock`)
    this.address = `unix:${path}`
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', K0S, 'kine', `--listen-address=unix://${path}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: '/usr/bin:/bin', KINE_ENDPOINT: endpoint, ...env },
      cwd: dir,
    })
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('kine could not be started')
    return this.#child.pid
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Resolves once it serves. */
  async ready(): Promise<void> {
    const { stderr } = this.#child
    if (stderr === null) throw new Error('kine has no standard error')
    const served = new Promise<boolean>((resolve) => {
      createInterface({ input: stderr }).on('line', (line) => {
        this.log.push(line)
        if (line.includes(READY)) resolve(true)
      })
    })
    const failed = ended(this.#child).then(() => false)
    if (!(await Promise.race([served, failed]))) throw new Error(`kine does not start:\n${this.log.join('\n')}`)
  }

  /** A client with a connection of its own, closed when kine is ended. */
  connect(): EtcdClient {
    const client = new EtcdClient(this.address)
    this.#clients.push(client)
    return client
  }

  /** What it holds of the machine's memory, MiB. */
  async memoryMib(): Promise<number> {
    const status = await readFile(`/proc/${String(this.pid)}/status`, 'utf8')
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024
  }

  /** SIGKILL. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** Ends it in order. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal)
    await ended(this.#child)
    for (const client of this.#clients.splice(0)) client.close()
  }
}
