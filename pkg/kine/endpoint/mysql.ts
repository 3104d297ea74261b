import { redact } from '#pkg/kine/endpoint/redact.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'
import { KineError } from '#pkg/kine/errors.ts'

/** How far the server is trusted. 'prefer' encrypts if it can, 'require' without asking who answers. */
export interface MysqlTls {
  readonly mode: 'disable' | 'prefer' | 'require' | 'verify-full'
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
}

/** A MySQL or MariaDB database, from a data source name as upstream kine and Go's driver read it. */
export interface MysqlEndpoint {
  readonly type: 'mysql'
  readonly address: { readonly host: string; readonly port: number } | { readonly path: string }
  readonly user: string
  readonly password: string | undefined
  readonly database: string
  readonly tls: MysqlTls
  readonly connectTimeoutMs: number
}

/** As upstream kine. */
const DEFAULT_DATABASE = 'kubernetes'
const DEFAULT_USER = 'root'
const DEFAULT_PORT = 3306
const DEFAULT_SOCKET = '/var/run/mysqld/mysqld.sock'
const DEFAULT_CONNECT_TIMEOUT_MS = 1_000

/**
 * Reads `[user[:password]@][tcp(host:port)|unix(/path)|host:port]/[database][?parameter=value&…]`. Nothing but the
 * database is percent-encoded.
 *
 * @throws KineError
 */
export function parseMysqlEndpoint(text: string, tls: DatabaseTlsFiles): MysqlEndpoint {
  // The database is behind the last slash: passwords and socket paths have slashes, too.
  const [, before = text, path = '', query = ''] = /^(.*)\/([^/?]*)(?:\?(.*))?$/s.exec(text) ?? []
  const params = new URLSearchParams(query)
  const at = before.lastIndexOf('@')
  const [user = '', password = ''] = before.slice(0, Math.max(at, 0)).split(/:(.*)/s, 2)
  return {
    type: 'mysql',
    address: parseAddress(before.slice(at + 1), text, tls),
    user: user === '' ? DEFAULT_USER : user,
    password: password === '' ? undefined : password,
    database: path === '' ? DEFAULT_DATABASE : decodeDatabase(path, text),
    tls: parseTls(params.get('tls'), tls),
    connectTimeoutMs: parseTimeout(params.get('timeout')),
  }
}

function parseAddress(text: string, whole: string, tls: DatabaseTlsFiles): MysqlEndpoint['address'] {
  const { network, inner } = /^(?<network>[a-z0-9]*)\((?<inner>.*)\)$/.exec(text)?.groups ?? {}
  if (text === '' || text === 'unix' || text === 'tcp') {
    const local = text !== 'tcp' && tls.caFile === undefined && tls.certFile === undefined
    return local ? { path: DEFAULT_SOCKET } : { host: '127.0.0.1', port: DEFAULT_PORT }
  }
  if (network === 'unix' && inner !== undefined) return { path: inner }
  const address = network === 'tcp' || network === 'tcp4' || network === 'tcp6' ? inner : text
  const [, bracketed, plain, own] = /^(?:\[([^\]]*)\]|([^:()]*))(?::(\d+))?$/.exec(address ?? '') ?? []
  const host = bracketed ?? plain
  const port = Number(own ?? DEFAULT_PORT)
  if (host === undefined || host === '' || !(port > 0 && port < 65_536)) {
    throw new KineError(
      `--endpoint mysql://${redact(whole)}: no address in it; want mysql://user:password@tcp(host:3306)/database or unix(/path)`,
    )
  }
  return { host, port }
}

/** Go's driver: `true` verifies, `skip-verify`, `preferred`; files alone mean `true`, as in upstream kine. */
function parseTls(given: string | null, files: DatabaseTlsFiles): MysqlTls {
  const { caFile, certFile, keyFile, skipVerify } = files
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new KineError('TLS to the database needs both --cert-file and --key-file')
  }
  const mode = tlsMode(given, caFile !== undefined || certFile !== undefined, skipVerify === true)
  return { mode, caFile: mode === 'verify-full' ? caFile : undefined, certFile, keyFile }
}

function tlsMode(given: string | null, anyFile: boolean, skipVerify: boolean): MysqlTls['mode'] {
  switch (given) {
    case null:
    case '':
      if (skipVerify) return 'require'
      return anyFile ? 'verify-full' : 'disable'
    case 'true':
      return skipVerify ? 'require' : 'verify-full'
    case 'skip-verify':
      return 'require'
    case 'preferred':
      return 'prefer'
    case 'false':
      return 'disable'
    default:
      throw new KineError(`--endpoint: tls=${given} is unknown; use true, skip-verify, preferred or false`)
  }
}

function parseTimeout(text: string | null): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text ?? '') ?? []
  if (number === undefined) return DEFAULT_CONNECT_TIMEOUT_MS
  return Number(number) * (unit === 'ms' ? 1 : unit === 's' ? 1_000 : 60_000)
}

function decodeDatabase(path: string, whole: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw new KineError(
      `--endpoint mysql://${redact(whole)}: special characters of the database must be percent-encoded`,
    )
  }
}
