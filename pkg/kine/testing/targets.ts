import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ETCD, startEtcd } from '#pkg/kine/testing/etcd-server.ts'
import type { DatabaseServers } from '#pkg/kine/testing/database-servers.ts'
import { holdMariadbHead, holdPostgresHead } from '#pkg/kine/testing/held-head.ts'
import { serverAt, startKine } from '#pkg/kine/testing/servers.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'

/** A store that outlives its servers. Disposing of it stops those that still run. */
export interface TestStore extends AsyncDisposable {
  /** Starts a server on it: again, after the last one was stopped, or beside others where the target is `shared`. */
  serve(): Promise<TestServer>
  /** Keeps everybody from committing until it is disposed of; of a `shared` target only. */
  holdHead(): Promise<AsyncDisposable>
}

/** A kind of store under test. */
export interface TestTarget {
  readonly name: string
  /** Ours; false for real etcd, the oracle. */
  readonly kine: boolean
  /** Several servers may use one store at once. */
  readonly shared: boolean
  /** An empty store. */
  create(): Promise<TestStore>
  /** A server on an empty store, which goes with it. */
  start(): Promise<TestServer>
}

/** Both kinds of server tell progress this often. */
const PROGRESS_INTERVAL_MS = 200

/** Every store, etcd if it has been built; `databases` are asked for the first time that a store is made. */
export function allTargets(databases: DatabaseServers): readonly TestTarget[] {
  const etcd = existsSync(ETCD) ? [etcdTarget()] : []
  return [sqliteTarget(), postgresTarget(databases), mariadbTarget(databases), ...etcd]
}

function sqliteTarget(): TestTarget {
  return target({ name: 'sqlite', kine: true, shared: false }, async () => {
    const dir = await temporary('sqlite')
    return storeOf(dir, (n) => kineOn(dir, n, `sqlite://${join(dir, 'state.db')}`))
  })
}

function postgresTarget(databases: DatabaseServers): TestTarget {
  return target({ name: 'postgres', kine: true, shared: true }, async () => {
    const server = await databases.postgres()
    const endpoint = await server.createDatabase()
    return sharedStore('postgres', endpoint, () => holdPostgresHead(server, endpoint))
  })
}

function mariadbTarget(databases: DatabaseServers): TestTarget {
  return target({ name: 'mariadb', kine: true, shared: true }, async () => {
    const server = await databases.mariadb()
    const endpoint = await server.createDatabase()
    return sharedStore('mariadb', endpoint, () => holdMariadbHead(server, endpoint))
  })
}

function etcdTarget(): TestTarget {
  return target({ name: 'etcd', kine: false, shared: false }, async () => {
    const dir = await temporary('etcd')
    return storeOf(dir, () => startEtcd(dir))
  })
}

function target(
  properties: Pick<TestTarget, 'name' | 'kine' | 'shared'>,
  create: () => Promise<TestStore>,
): TestTarget {
  const start = async (): Promise<TestServer> => {
    const store = await create()
    const server = await store.serve()
    return serverAt(server.address, async () => store[Symbol.asyncDispose]())
  }
  return { ...properties, create, start }
}

function temporary(name: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `k0s-suite-${name}-`))
}

function kineOn(dir: string, n: number, endpoint: string): Promise<TestServer> {
  const listenAddress = `unix://${join(dir, `kine-${n}.sock`)}`
  return startKine(dir, { listenAddress, endpoint, watchProgressNotifyIntervalMs: PROGRESS_INTERVAL_MS })
}

async function sharedStore(name: string, endpoint: string, hold: TestStore['holdHead']): Promise<TestStore> {
  const dir = await temporary(name)
  return { ...storeOf(dir, (n) => kineOn(dir, n, endpoint)), holdHead: hold }
}

/** A store whose n-th server is started by `serve`. */
function storeOf(dir: string, serve: (n: number) => Promise<TestServer>): TestStore {
  const servers: TestServer[] = []
  return {
    serve: async () => {
      const server = await serve(servers.length)
      servers.push(server)
      return server
    },
    holdHead: () => Promise.reject(new Error('this store has one server at a time')),
    [Symbol.asyncDispose]: async () => {
      try {
        await Promise.all(servers.map((server) => server.stop()))
      } finally {
        await rm(dir, { recursive: true, force: true })
      }
    },
  }
}
