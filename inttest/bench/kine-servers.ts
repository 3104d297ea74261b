import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkout, k0sExecutable } from '#inttest/common/names.ts'
import { load } from '#inttest/bench/kine-load.ts'
import { freePort } from '#pkg/kine/testing/servers.ts'

const staging = join(checkout, 'embedded-bins', 'staging')
const STOP_GRACE_MS = 10_000
const LOG_TAIL_BYTES = 2000

/** A server under measurement, a process of its own with its data in a folder of its own. */
export class BenchServer implements AsyncDisposable {
  readonly name: string
  readonly endpoint: string
  readonly dir: string
  readonly #argv: readonly string[]
  #child: ChildProcess | undefined

  constructor(parts: { name: string; endpoint: string; dir: string; argv: readonly string[] }) {
    this.name = parts.name
    this.endpoint = parts.endpoint
    this.dir = parts.dir
    this.#argv = parts.argv
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Resolves once it answers. */
  async start(): Promise<void> {
    // An interrupted benchmark leaves no server behind.
    const args = ['--pdeathsig', 'KILL', ...this.#argv]
    await mkdir(this.dir, { recursive: true })
    const log = openSync(join(this.dir, 'log'), 'a')
    const child = spawn('setpriv', args, { cwd: this.dir, stdio: ['ignore', log, log], detached: true })
    closeSync(log)
    this.#child = child
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`${this.name} ended with ${String(signal ?? code)}`)
    })
    try {
      // The load generator waits until the server answers; here it has nothing else to do.
      await Promise.race([ended, load(this, 'fill', { keys: 0 })])
    } catch (error) {
      const tail = (await readFile(join(this.dir, 'log'), 'utf8')).slice(-LOG_TAIL_BYTES)
      throw new Error(`${this.name} does not start: ${(error as Error).message}\n${tail}`, { cause: error })
    }
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    const kill = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
    try {
      await exited
    } finally {
      clearTimeout(kill)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/** The product, on any of its databases. */
export async function ours(dir: string, database: string, args: readonly string[] = []): Promise<BenchServer> {
  const endpoint = `127.0.0.1:${String(await freePort())}`
  const argv = [k0sExecutable, 'kine', `--endpoint=${database}`, `--listen-address=tcp://${endpoint}`, ...args]
  return new BenchServer({ name: 'ours', endpoint, dir, argv })
}

/** Upstream kine v0.17.5 with cgo, on any of its databases. */
export async function upstream(dir: string, database: string): Promise<BenchServer> {
  const endpoint = `127.0.0.1:${String(await freePort())}`
  const program = join(staging, 'bench-bin', 'upstream-kine')
  const argv = [program, `--endpoint=${database}`, `--listen-address=tcp://${endpoint}`, '--metrics-bind-address=0']
  return new BenchServer({ name: 'upstream kine', endpoint, dir, argv })
}

/** Upstream's own parameters, with the one that decides whether a commit survives a power failure. */
export function upstreamSqlite(file: string, synchronous: 'FULL' | 'NORMAL'): string {
  const parameters = `_journal_mode=WAL&_busy_timeout=30000&_synchronous=${synchronous}&_txlock=immediate`
  return `sqlite://${file}?${parameters}&_stmt_cache_size=20&cache=shared`
}

/** A cluster of one etcd, which syncs every commit. */
export async function etcd(dir: string): Promise<BenchServer> {
  const endpoint = `127.0.0.1:${String(await freePort())}`
  const peer = `http://127.0.0.1:${String(await freePort())}`
  const argv = [join(staging, 'bin', 'etcd'), `--data-dir=${dir}/data`, '--log-level=error']
  argv.push(`--listen-client-urls=http://${endpoint}`, `--advertise-client-urls=http://${endpoint}`)
  argv.push(`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=default=${peer}`)
  return new BenchServer({ name: 'etcd', endpoint, dir, argv })
}

/** A folder for all data of a benchmark on the disk of temporary files; it goes with the benchmark, also if that is interrupted. */
export async function dataFolder(name: string): Promise<{ readonly dir: string } & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), `${name}-`))
  const interrupted = (): void => {
    rmSync(dir, { recursive: true, force: true })
    process.exit(1)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted)
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
}
