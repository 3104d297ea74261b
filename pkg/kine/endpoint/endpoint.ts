import { resolve } from 'node:path'
import { parseMysqlEndpoint } from '#pkg/kine/endpoint/mysql.ts'
import type { MysqlEndpoint } from '#pkg/kine/endpoint/mysql.ts'
import { parsePostgresEndpoint } from '#pkg/kine/endpoint/postgres.ts'
import type { PostgresEndpoint } from '#pkg/kine/endpoint/postgres.ts'
import { redact } from '#pkg/kine/endpoint/redact.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'
import { KineError } from '#pkg/kine/errors.ts'

/** A database in a file of this host. */
export interface SqliteEndpoint {
  readonly type: 'sqlite'
  /** Absolute path of the database file. */
  readonly file: string
}

/** Which database, taken from --endpoint. */
export type Endpoint = SqliteEndpoint | PostgresEndpoint | MysqlEndpoint

const SUPPORTED = 'sqlite://, postgres:// or mysql://'

/**
 * Reads --endpoint in upstream kine's forms. SQLite's query parameters (`mode`, `_journal`, `cache`, …) are accepted and
 * ignored: journal mode and durability are not left to the user.
 *
 * @throws KineError; its message shows no password
 */
export function parseEndpoint(text: string, tls: DatabaseTlsFiles = {}): Endpoint {
  const scheme = /^([a-z0-9+]+):\/\//.exec(text)?.[1]
  const rest = text.slice((scheme?.length ?? 0) + 3)
  switch (scheme) {
    case 'sqlite':
      return parseSqliteEndpoint(rest)
    case 'postgres':
    case 'postgresql':
      return parsePostgresEndpoint(rest, tls)
    case 'mysql':
      return parseMysqlEndpoint(rest, tls)
    case undefined:
      throw new KineError(`--endpoint ${redact(text)}: no database; want ${SUPPORTED}`)
    case 'http':
    case 'https':
      throw new KineError(
        `--endpoint ${redact(text)}: an etcd needs no kine before it: give its address to the API server, or in spec.storage.etcd.externalCluster; for a database use ${SUPPORTED}`,
      )
    default:
      throw new KineError(`--endpoint ${redact(text)}: ${scheme} is not supported; use ${SUPPORTED}`)
  }
}

/** The database in messages and logs, without its password. */
export function describeEndpoint(endpoint: Endpoint): string {
  switch (endpoint.type) {
    case 'sqlite':
      return endpoint.file
    case 'postgres': {
      const hosts = endpoint.hosts.map(({ host, port }) => `${host}:${port}`)
      return `postgres://${endpoint.user}@${hosts.join(',')}/${endpoint.database}`
    }
    case 'mysql': {
      const { address, user, database } = endpoint
      const where = 'path' in address ? `unix(${address.path})` : `tcp(${address.host}:${address.port})`
      return `mysql://${user}@${where}/${database}`
    }
  }
}

function parseSqliteEndpoint(rest: string): SqliteEndpoint {
  const path = rest.replace(/^file:/, '').replace(/\?.*$/, '')
  if (path.includes(':memory:'))
    throw new KineError('--endpoint: an in-memory database is lost at restart; give a file')
  return { type: 'sqlite', file: resolve(path === '' ? './db/state.db' : path) }
}
