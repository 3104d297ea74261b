import { assertNever } from '#pkg/errors/error.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import type { Endpoint } from '#pkg/kine/endpoint/endpoint.ts'
import {
  DEFAULT_MAX_IDLE_CONNECTIONS,
  DEFAULT_MAX_IDLE_TIME_MS,
  DEFAULT_MAX_OPEN_CONNECTIONS,
} from '#pkg/kine/options.ts'
import type { DatabaseOptions, KineFiles } from '#pkg/kine/options.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** What a dialect needs of its surroundings. */
export interface DialectDeps {
  readonly files: KineFiles
  readonly log: Logger
  /** The database can no longer be used by this process. */
  readonly onFailure: (error: Error) => void
}

/** How a database is used. */
export interface DialectOptions extends DatabaseOptions {
  /** Nothing in it is changed; what writes must not be called. Default false. */
  readonly readOnly?: boolean | undefined
}

/** Connections that do not read: one writes, one listens or looks at the head. */
const OTHER_CONNECTIONS = 2

/** The dialect of an endpoint, not yet opened. Only its own driver is loaded: each costs megabytes. */
export async function dialectFor(endpoint: Endpoint, options: DialectOptions, deps: DialectDeps): Promise<Dialect> {
  const { readOnly = false } = options
  switch (endpoint.type) {
    case 'sqlite': {
      const { SqliteDialect } = await import('#pkg/kine/dialect/sqlite/sqlite.ts')
      return new SqliteDialect({ file: endpoint.file, files: deps.files.sqlite, readOnly }, deps)
    }
    case 'postgres': {
      const { PostgresDialect } = await import('#pkg/kine/dialect/postgres/postgres.ts')
      return new PostgresDialect({ endpoint, pool: poolOptions(options), readOnly }, deps)
    }
    case 'mysql': {
      const { MysqlDialect } = await import('#pkg/kine/dialect/mysql/mysql.ts')
      return new MysqlDialect({ endpoint, pool: poolOptions(options), readOnly }, deps)
    }
    default:
      return assertNever(endpoint)
  }
}

/**
 * Where else the user of a database server's endpoint is connected to its database: a kine that runs, as a rule. Whoever
 * has a SQLite file holds its lock. @throws what the driver says, also of a database that does not exist yet
 */
export async function otherSessions(endpoint: Endpoint, deps: Pick<DialectDeps, 'log'>): Promise<readonly string[]> {
  switch (endpoint.type) {
    case 'sqlite':
      return []
    case 'postgres': {
      const { otherPostgresSessions } = await import('#pkg/kine/dialect/postgres/other-sessions.ts')
      return otherPostgresSessions(endpoint, deps)
    }
    case 'mysql': {
      const { otherMysqlSessions } = await import('#pkg/kine/dialect/mysql/other-sessions.ts')
      return otherMysqlSessions(endpoint, deps)
    }
    default:
      return assertNever(endpoint)
  }
}

function poolOptions(options: DatabaseOptions) {
  const { datastoreMaxOpenConnections = 0, datastoreMaxIdleConnections = DEFAULT_MAX_IDLE_CONNECTIONS } = options
  const connections = datastoreMaxOpenConnections > 0 ? datastoreMaxOpenConnections : DEFAULT_MAX_OPEN_CONNECTIONS
  const readers = Math.max(1, connections - OTHER_CONNECTIONS)
  return {
    maxOpen: readers,
    maxIdle: datastoreMaxIdleConnections === 0 ? readers : Math.max(0, datastoreMaxIdleConnections),
    maxIdleMs: options.datastoreConnectionMaxIdleTimeMs ?? DEFAULT_MAX_IDLE_TIME_MS,
    maxLifetimeMs: options.datastoreConnectionMaxLifetimeMs ?? 0,
  }
}
