import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { once } from 'node:events'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { runKine } from '#pkg/kine/run.ts'
import type { KineFiles, KineOptions } from '#pkg/kine/run.ts'
import { buildSqliteAddon } from '#embedded-bins/bundle/sqlite-addon.ts'
import { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'

/** A server under test. */
export interface TestServer extends AsyncDisposable {
  /** Address for EtcdClient. */
  readonly address: string
  connect(): EtcdClient
  stop(): Promise<void>
}

/** A way to get a server with an empty store. */
export interface TestTarget {
  readonly name: string
  start(): Promise<TestServer>
}

/** Files of the SQLite threads in a source tree; the addon is compiled if no build has done it. */
export async function testFiles(): Promise<KineFiles> {
  const built = resolve('build/lib/k0s/better_sqlite3.node')
  const binding = existsSync(built) ? built : await buildSqliteAddon({ root: resolve('.'), jobs: 2 })
  return { sqlite: { worker: resolve('pkg/kine/dialect/sqlite/worker.ts'), binding } }
}

const ETCD = resolve('embedded-bins/staging/bin/etcd')

/** Ours on every dialect, and real etcd as the oracle of the suite where it has been built. */
export const TARGETS: readonly TestTarget[] = [
  { name: 'sqlite', start: () => startTemporary() },
  ...(existsSync(ETCD) ? [{ name: 'etcd', start: () => startEtcd() }] : []),
]

/** Kine in this process on a socket in `dir`. */
export async function startKine(dir: string, options: KineOptions = {}): Promise<TestServer> {
  const stopping = new AbortController()
  const ready = Promise.withResolvers<undefined>()
  const path = join(dir, 'kine.sock')
  const files = await testFiles()
  const running = runKine(
    { listenAddress: `unix://${path}`, endpoint: `sqlite://${join(dir, 'state.db')}`, ...options },
    { log: silentLogger, signal: stopping.signal, files, onReady: () => ready.resolve(undefined) },
  )
  await Promise.race([ready.promise, running])
  const stop = async (): Promise<void> => {
    stopping.abort(new Error('test is over'))
    await running
  }
  const tcp = /^tcp:\/\/(.+)$/.exec(options.listenAddress ?? '')?.[1]
  return serverAt(tcp ?? `unix:${path}`, stop)
}

async function startTemporary(): Promise<TestServer> {
  const dir = await mkdtemp(join(tmpdir(), 'kine-'))
  const server = await startKine(dir, { watchProgressNotifyIntervalMs: 200 })
  return serverAt(server.address, async () => {
    await server.stop()
    await rm(dir, { recursive: true, force: true })
  })
}

async function startEtcd(): Promise<TestServer> {
  const dir = await mkdtemp(join(tmpdir(), 'etcd-'))
  const [client, peer] = [await freePort(), await freePort()]
  const urls = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`] as const
  const args = ['--data-dir', dir, '--listen-client-urls', urls[0], '--advertise-client-urls', urls[0]]
  args.push('--listen-peer-urls', urls[1], '--initial-advertise-peer-urls', urls[1])
  args.push('--initial-cluster', `default=${urls[1]}`, '--log-level', 'error', '--unsafe-no-fsync')
  args.push('--watch-progress-notify-interval', '200ms')
  const child = spawn(ETCD, args, { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const server = serverAt(`127.0.0.1:${client}`, async () => {
    child.kill('SIGKILL')
    await exited
    await rm(dir, { recursive: true, force: true })
  })
  for (let tries = 0; ; tries += 1) {
    const probe = server.connect()
    try {
      await probe.range('ready')
      return server
    } catch (error) {
      if (tries > 100) throw error
      await sleep(100)
    } finally {
      probe.close()
    }
  }
}

function serverAt(address: string, stop: () => Promise<void>): TestServer {
  const clients: EtcdClient[] = []
  let stopped: Promise<void> | undefined
  const end = (): Promise<void> => {
    for (const client of clients) client.close()
    return (stopped ??= stop())
  }
  return {
    address,
    connect: () => {
      const client = new EtcdClient(address)
      clients.push(client)
      return client
    },
    stop: end,
    [Symbol.asyncDispose]: end,
  }
}

/** A port of the loopback address that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
