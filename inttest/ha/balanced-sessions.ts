import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '#inttest/common/cluster.ts'
import type { Host } from '#inttest/common/host.ts'
import { k0sExecutable } from '#inttest/common/names.ts'
import { ended } from '#inttest/common/run.ts'

const KUBECONFIG = '/mnt/admin.conf'
const SETTLE_MS = 300

/** Gives a worker the administrator's credentials, for the loopback address of its load balancer. */
export async function giveCredentials(cluster: Cluster, worker: Host): Promise<void> {
  const { stdout } = await cluster.controller.k0s(['kubeconfig', 'admin'])
  await worker.write(KUBECONFIG, stdout.replace(/server: \S+/, 'server: https://127.0.0.1:7443'))
}

/** A command of kubectl on a worker that goes on, through the loopback address. */
export class Session {
  /** What it printed so far. */
  text = ''
  /** Set once it has ended. */
  hasEnded = false
  readonly #child: ChildProcess

  static async start(worker: Host, args: readonly string[]): Promise<Session> {
    return new Session(await worker.inside([k0sExecutable, 'kubectl', '--kubeconfig', KUBECONFIG, ...args]))
  }

  private constructor([program = '', ...args]: readonly string[]) {
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.text += chunk.toString()))
    this.#child.once('exit', () => (this.hasEnded = true))
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL')
    await ended(this.#child)
  }
}

/** Ports on the worker of the connections that an API server holds to it. */
export async function connectionsOf(controller: Host, worker: Host): Promise<ReadonlySet<string>> {
  const filter = ['state', 'established', `( sport = :6443 and dst ${worker.address} )`]
  const text = await controller.must(['ss', '-Htn', ...filter])
  return new Set([...text.matchAll(/:(\d+)\s*$/gm)].map(([, port = '']) => port))
}

/** A session with the connection that it came by. */
export interface PlacedSession {
  readonly session: Session
  readonly controller: Host
  readonly port: string
}

/** Starts sessions until one came out at `controller`, known by the one connection that it has more; the others are ended. */
export async function sessionAt(
  { worker, controller }: { readonly worker: Host; readonly controller: Host },
  args: readonly string[],
): Promise<PlacedSession> {
  for (let i = 0; i < 20; i += 1) {
    const before = await connectionsOf(controller, worker)
    const session = await Session.start(worker, args)
    while (session.text === '' && !session.hasEnded) await sleep(50)
    await sleep(SETTLE_MS)
    const fresh = [...(await connectionsOf(controller, worker))].filter((port) => !before.has(port))
    if (fresh.length === 1) return { session, controller, port: fresh[0]! }
    await session.stop()
  }
  throw new Error(`no session came out at ${controller.name}`)
}
