import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'
import { KineError } from '#pkg/kine/errors.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** What the dialect has to know of the server. */
export interface ServerFacts {
  /** Such as `10.11.14-MariaDB-…`, `8.4.3`. */
  readonly version: string
  readonly mariadb: boolean
  readonly maxPacketBytes: number
}

const QUERY_MS = 5_000
/** A value of etcd's limit, 1.5 MiB, in hexadecimal. */
const MIN_PACKET_BYTES = 4 * 1024 * 1024
/** Oldest versions that this was written for. */
const OLDEST = { mariadb: [10, 6], mysql: [8, 0] } as const

const VARIABLES = [
  'binlog_format',
  'innodb_doublewrite',
  'innodb_flush_log_at_trx_commit',
  'innodb_flush_method',
  'log_bin',
  'max_allowed_packet',
  'sync_binlog',
  'version',
  'wsrep_on',
]

/**
 * Looks at the server's settings: refuses those under which nothing can be written, warns of those under which a power
 * failure takes back what was acknowledged.
 *
 * @throws MysqlError, KineError
 */
export async function checkServer(session: Session, log: Logger): Promise<ServerFacts> {
  const names = VARIABLES.map((name) => `'${name}'`).join(',')
  const rows = (await session.query(
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names})`,
    QUERY_MS,
  )) as readonly Row[]
  const settings = new Map(rows.map(([name, value]) => [String(name), String(value)]))
  const facts = serverFacts(settings)
  if (facts.maxPacketBytes < MIN_PACKET_BYTES) {
    throw new KineError(
      `the database takes packets of ${facts.maxPacketBytes} bytes only: set its max_allowed_packet to 16M or more`,
    )
  }
  if (settings.get('log_bin') === 'ON' && settings.get('binlog_format') === 'STATEMENT') {
    throw new KineError('the database logs statements for its replicas: set its binlog_format to ROW or MIXED')
  }
  for (const [problem, remedy] of weaknesses(settings, facts)) {
    log.warn('the database is not set up as it should be', { problem, remedy })
  }
  return facts
}

function serverFacts(settings: ReadonlyMap<string, string>): ServerFacts {
  const version = settings.get('version') ?? ''
  return {
    version,
    mariadb: /mariadb/i.test(version),
    maxPacketBytes: Number(settings.get('max_allowed_packet') ?? MIN_PACKET_BYTES),
  }
}

/** Pairs of what is wrong and what helps. */
export function weaknesses(
  settings: ReadonlyMap<string, string>,
  { version, mariadb }: Pick<ServerFacts, 'version' | 'mariadb'>,
): readonly (readonly [string, string])[] {
  const found: (readonly [string, string])[] = []
  const lossy = 'a power failure can take back acknowledged writes'
  const expect = (name: string, good: RegExp, remedy: string): void => {
    const value = settings.get(name)
    if (value !== undefined && !good.test(value)) found.push([`${name} is ${value}: ${lossy}`, remedy])
  }
  expect('innodb_flush_log_at_trx_commit', /^1$/, 'set innodb_flush_log_at_trx_commit = 1')
  if (settings.get('log_bin') === 'ON') expect('sync_binlog', /^1$/, 'set sync_binlog = 1')
  expect('innodb_flush_method', /^(?!nosync$|littlesync$)/i, 'set innodb_flush_method = O_DIRECT')
  expect('innodb_doublewrite', /^(?!OFF|0)/i, 'set innodb_doublewrite = ON unless the file system writes whole pages')
  if (settings.get('wsrep_on') === 'ON') {
    found.push([
      'it is a Galera cluster, whose nodes may not have read the newest commit yet',
      'let every kine use the same node',
    ])
  }
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldMajor, oldMinor] = mariadb ? OLDEST.mariadb : OLDEST.mysql
  if (major < oldMajor || (major === oldMajor && minor < oldMinor)) {
    found.push([`version ${version} is untested`, 'use MariaDB 10.6, MySQL 8.0 or newer'])
  }
  return found
}
