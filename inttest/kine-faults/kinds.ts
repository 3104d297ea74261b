import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseServers } from '#pkg/kine/testing/database-servers.ts'
import type { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import type { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'

/** Long variants, for when there is time: `KINE_FAULTS_LONG=1 make check-kine-faults`. */
export const LONG = process.env['KINE_FAULTS_LONG'] !== undefined

/** A database server that can be killed, frozen, stopped and started. */
export type DatabaseServer = PostgresServer | MariadbServer

const servers = new DatabaseServers()
after(() => servers[Symbol.asyncDispose]())

/** Databases with a server of their own; the server is the same for the whole run. */
export const DATABASES: readonly { readonly name: string; readonly server: () => Promise<DatabaseServer> }[] = [
  { name: 'postgres', server: () => servers.postgres() },
  { name: 'mariadb', server: () => servers.mariadb() },
]

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
