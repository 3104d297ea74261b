import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SHARED_TARGETS } from '#pkg/kine/suite/targets.ts'
import { DATABASES as SERVERS } from '#pkg/kine/testing/database-servers.ts'
import { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'

/** Long variants, for when there is time: `KINE_FAULTS_LONG=1 make check-kine-faults`. */
export const LONG = process.env['KINE_FAULTS_LONG'] !== undefined

/** A database server that can be killed, frozen, stopped and started. */
export type DatabaseServer = PostgresServer | MariadbServer

// Those of the suite, when these tests run with it.
after(() => SERVERS[Symbol.asyncDispose]())

const wanted = (name: string): boolean => SHARED_TARGETS.some((target) => target.name === name)

/** Databases with a server of their own; the server is the same for the whole run. K0S_KINE_STORES chooses. */
export const DATABASES: readonly { readonly name: string; readonly server: () => Promise<DatabaseServer> }[] = [
  { name: 'postgres', server: () => SERVERS.postgres() },
  { name: 'mariadb', server: () => SERVERS.mariadb() },
].filter(({ name }) => wanted(name))

/** Where it is to be, and whether its commits are to reach the disk there. */
export interface OwnServerOptions {
  readonly parent: string
  readonly fsync?: boolean
  /** Variables of its environment. */
  readonly env?: Readonly<Record<string, string>>
}

type StartServer = (options: OwnServerOptions) => Promise<DatabaseServer>

/** How a server of a test's own is started, on a disk of its own. */
export const OWN_SERVERS: readonly { readonly name: 'postgres' | 'mariadb'; readonly start: StartServer }[] = [
  { name: 'postgres' as const, start: (options: OwnServerOptions) => PostgresServer.start(options) },
  { name: 'mariadb' as const, start: (options: OwnServerOptions) => MariadbServer.start(options) },
].filter(({ name }) => wanted(name))

/** Such a disk: a fresh server takes about half of it. */
export const SERVER_DISK_MIB = 320

/** A directory for one test, removed afterwards. */
export async function scratch(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'kine-faults-'))
  // Database servers, which are users of their own, may have to get to something in it.
  await chmod(path, 0o711)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Shows a line below the test's name. */
export function report(line: string): void {
  console.log(`      ${line}`)
}
