import { userInfo } from 'node:os'
import { redact } from '#pkg/kine/endpoint/redact.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'
import { KineError } from '#pkg/kine/errors.ts'

/** A server; `host` is a name, an address or the directory of a Unix socket. */
export interface PostgresHost {
  readonly host: string
  readonly port: number
}

/** libpq's sslmode; its `allow` is taken for `prefer`. */
export interface PostgresTls {
  readonly mode: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
}

/** A PostgreSQL database, from a connection URL as libpq and upstream kine read it. */
export interface PostgresEndpoint {
  readonly type: 'postgres'
  /** Tried in order; only one that takes writes is used. */
  readonly hosts: readonly PostgresHost[]
  readonly user: string
  readonly password: string | undefined
  readonly database: string
  readonly tls: PostgresTls
  readonly connectTimeoutMs: number
  readonly applicationName: string
  /** Command line options for the server's session process, such as `-c search_path=kine`. */
  readonly options: string
  /** Whether statements are prepared by name: not behind a pooler that hands out connections by transaction. */
  readonly prepare: boolean
}

/** As upstream kine. */
const DEFAULT_DATABASE = 'kubernetes'
const DEFAULT_PORT = 5432
const DEFAULT_CONNECT_TIMEOUT_MS = 1_000
const SSL_MODES: readonly string[] = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full']
/** Parameters of client libraries that need no counterpart here. */
const IGNORED =
  /^(pool_.*|target_session_attrs|statement_cache_capacity|description_cache_capacity|gssencmode|krbsrvname|channel_binding|sslsni|sslnegotiation|ssl_min_protocol_version|fallback_application_name|keepalives.*|tcp_user_timeout|client_encoding|load_balance_hosts)$/
const UNSUPPORTED: readonly string[] = ['service', 'servicefile', 'passfile', 'hostaddr', 'sslpassword', 'sslcrl']

/**
 * Reads `[user[:password]@][host[:port][,…]][/database][?parameter=value&…]`.
 *
 * @throws KineError
 */
export function parsePostgresEndpoint(text: string, tls: DatabaseTlsFiles): PostgresEndpoint {
  const { userinfo, authority, path, query } = split(text)
  const params = new Map(new URLSearchParams(query))
  const take = (name: string): string | undefined => {
    const value = params.get(name)
    params.delete(name)
    return value === '' ? undefined : value
  }
  const [user, password] = userinfo.split(/:(.*)/s, 2).map((part) => decode(part, text))
  const host = take('host')
  const port = take('port')
  const hosts = parseHosts(host === undefined ? decode(authority, text) : host, port)
  const timeoutSeconds = Number(take('connect_timeout') ?? 0)
  const execMode = take('default_query_exec_mode')
  const endpoint = {
    type: 'postgres',
    hosts,
    user: take('user') ?? (user === undefined || user === '' ? userInfo().username : user),
    password: take('password') ?? (password === '' ? undefined : password),
    // Upstream folds it, as the server folds a name without quotes.
    database: (take('dbname') ?? (path === '' ? DEFAULT_DATABASE : decode(path, text))).toLowerCase(),
    tls: parseTls(take, tls),
    connectTimeoutMs: timeoutSeconds > 0 ? timeoutSeconds * 1000 : DEFAULT_CONNECT_TIMEOUT_MS,
    applicationName: take('application_name') ?? 'k0s-kine',
    prepare: execMode === undefined || execMode === 'cache_statement',
  } as const
  const options = take('options') ?? ''
  return { ...endpoint, options: sessionOptions(options, params) }
}

function split(text: string): { userinfo: string; authority: string; path: string; query: string } {
  const [, before = '', path = '', query = ''] = /^([^/?]*)\/?([^?]*)\??(.*)$/s.exec(text) ?? []
  const at = before.lastIndexOf('@')
  return { userinfo: before.slice(0, Math.max(at, 0)), authority: before.slice(at + 1), path, query }
}

function parseHosts(hosts: string, ports: string | undefined): readonly PostgresHost[] {
  const common = ports?.split(',') ?? []
  return (hosts === '' ? 'localhost' : hosts).split(',').map((each, i) => {
    const [, bracketed, plain, own] = /^(?:\[([^\]]*)\]|([^:]*|\/.*))(?::(\d+))?$/.exec(each) ?? []
    const host = bracketed ?? plain
    const port = Number(own ?? common[i] ?? common[0] ?? DEFAULT_PORT)
    if (host === undefined || host === '' || !(port > 0 && port < 65_536)) {
      throw new KineError(
        `--endpoint: ${each} is no host of a PostgreSQL server; want host, host:port or [address]:port`,
      )
    }
    return { host, port }
  })
}

/** As in upstream, files without a mode mean the strictest one. */
function parseTls(take: (name: string) => string | undefined, files: DatabaseTlsFiles): PostgresTls {
  const caFile = take('sslrootcert') ?? files.caFile
  const certFile = take('sslcert') ?? files.certFile
  const keyFile = take('sslkey') ?? files.keyFile
  const anyFile = [files.caFile, files.certFile, files.keyFile].some((file) => file !== undefined)
  const given = take('sslmode')
  if (given === 'allow') return { mode: 'prefer', caFile, certFile, keyFile }
  if (given !== undefined && !SSL_MODES.includes(given)) {
    throw new KineError(`--endpoint: sslmode=${given} is unknown; use one of ${SSL_MODES.join(', ')}`)
  }
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new KineError(
      "TLS to the database needs both --cert-file and --key-file (or the endpoint's sslcert and sslkey)",
    )
  }
  if (files.skipVerify === true) return { mode: 'require', caFile: undefined, certFile, keyFile }
  const mode = (given ?? (anyFile ? 'verify-full' : 'prefer')) as PostgresTls['mode']
  return { mode, caFile: caFile === 'system' ? undefined : caFile, certFile, keyFile }
}

/** What is left are settings of the session (search_path, …). */
function sessionOptions(options: string, params: ReadonlyMap<string, string>): string {
  const settings: string[] = options === '' ? [] : [options]
  for (const [name, value] of params) {
    if (UNSUPPORTED.includes(name)) {
      throw new KineError(`--endpoint: the parameter ${name} is not supported; leave it out`)
    }
    if (IGNORED.test(name)) continue
    settings.push(`-c ${name}=${value.replace(/[\\ ]/g, '\\$&')}`)
  }
  return settings.join(' ')
}

function decode(text: string, whole: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new KineError(`--endpoint postgres://${redact(whole)}: special characters must be percent-encoded`)
  }
}
