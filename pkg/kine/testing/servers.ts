import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { once } from 'node:events'
import { silentLogger } from '#pkg/log/logger.ts'
import { runKine } from '#pkg/kine/run.ts'
import type { KineFiles, KineOptions } from '#pkg/kine/run.ts'
import { buildSqliteAddon } from '#embedded-bins/bundle/sqlite-addon.ts'
import { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'

/** A server under test. */
export interface TestServer extends AsyncDisposable {
  /** Address for EtcdClient. */
  readonly address: string
  /** A client with a connection of its own, closed with the server. */
  connect(): EtcdClient
  stop(): Promise<void>
}

/** Files of the SQLite threads in a source tree; the addon is compiled if no build has done it. */
export async function testFiles(): Promise<KineFiles> {
  const built = resolve('build/lib/k0s/better_sqlite3.node')
  const binding = existsSync(built) ? built : await buildSqliteAddon({ root: resolve('.'), jobs: 2 })
  return { sqlite: { worker: resolve('pkg/kine/dialect/sqlite/worker.ts'), binding } }
}

/** Kine in this process on a socket in `dir`, over a database in `dir` unless the options name another. */
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
  const { tcp, unix } = /^(?:tcp:\/\/(?<tcp>.+)|unix:\/\/(?<unix>.+))$/.exec(options.listenAddress ?? '')?.groups ?? {}
  return serverAt(tcp ?? `unix:${unix ?? path}`, stop)
}

/** A server that somebody runs at an address. */
export function serverAt(address: string, stop: () => Promise<void>): TestServer {
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

/** The address of a server as etcd's own programs take it. */
export function endpointOf({ address }: TestServer): string {
  return address.startsWith('unix:') ? `unix://${address.slice('unix:'.length)}` : address
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
