import { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'

/** One server of each kind for a whole run, started when a test first wants a database of it. */
export class DatabaseServers implements AsyncDisposable {
  #postgres: Promise<PostgresServer> | undefined
  #mariadb: Promise<MariadbServer> | undefined

  postgres(): Promise<PostgresServer> {
    return (this.#postgres ??= PostgresServer.start())
  }

  mariadb(): Promise<MariadbServer> {
    return (this.#mariadb ??= MariadbServer.start())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const started = await Promise.allSettled([this.#postgres, this.#mariadb])
    for (const server of started) if (server.status === 'fulfilled') await server.value?.[Symbol.asyncDispose]()
  }
}

/** The servers of this run; the root hooks of the suite (suite/hooks.ts) end them. */
export const DATABASES: DatabaseServers = new DatabaseServers()
