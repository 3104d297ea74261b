import { StoreError } from '#pkg/kine/errors.ts'

/** Numbers of server errors that have a meaning here (MySQL and MariaDB agree on them). */
export const errno = {
  diskFull: 1021,
  hostAccessDenied: 1044,
  accessDenied: 1045,
  columnNull: 1048,
  unknownDatabase: 1049,
  recordChanged: 1020,
  tableFull: 1114,
  hostNotAllowed: 1130,
  tableAccessDenied: 1142,
  noSuchTable: 1146,
  deadlock: 1213,
  accessDeniedNoPassword: 1698,
  rolledBackAtCommit: 3101,
  secureTransportRequired: 3159,
} as const

/** What the server answered, or why there was no answer. The message never holds the statement, its values or a password. */
export class MysqlError extends Error {
  /** Number of the server's error, 0 if it is none of the server's. */
  readonly errno: number
  /** Symbol such as `ER_DUP_ENTRY`, `ECONNREFUSED`. */
  readonly symbol: string
  /** The connection is gone. */
  readonly lost: boolean

  constructor(message: string, details: { readonly errno?: number; readonly symbol?: string; readonly lost: boolean }) {
    super(message)
    this.name = 'MysqlError'
    this.errno = details.errno ?? 0
    this.symbol = details.symbol ?? ''
    this.lost = details.lost
  }
}

/** What mysql2 and the sockets throw, without the statement that mysql2 attaches. */
export function toMysqlError(error: unknown): MysqlError {
  if (error instanceof MysqlError) return error
  const { message, code, errno: number, fatal } = error as Readonly<Record<string, unknown>>
  const symbol = typeof code === 'string' ? code : ''
  return new MysqlError(typeof message === 'string' && message !== '' ? message : symbol, {
    // Of system errors mysql2 and Node give the negated number of the system.
    errno: typeof number === 'number' && number > 0 ? number : 0,
    symbol,
    lost: fatal === true,
  })
}

/** Number of the server's error, 0 for anything else. */
export function errnoOf(error: unknown): number {
  return error instanceof MysqlError ? error.errno : 0
}

/** InnoDB and the layers above it report a full disk in many words: as a full table, or as the system's error 28. */
function isNoSpace(error: unknown): boolean {
  if (!(error instanceof MysqlError)) return false
  const { errno: number, message } = error
  return (
    number === errno.diskFull ||
    number === errno.tableFull ||
    /\b(error|errno|errcode):? "?28\b|no space left/i.test(message)
  )
}

/**
 * What an error means for the client of the store: the database is full, or it cannot be asked now, be it that it is
 * away, read-only after a failover (1290, 1836), out of connections (1040), shutting down (1053), or that somebody
 * holds the lock for too long (1205).
 */
export function toStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error
  return new StoreError(isNoSpace(error) ? 'no-space' : 'unavailable', { cause: error })
}

const REFUSALS: ReadonlySet<number> = new Set([
  errno.hostAccessDenied,
  errno.accessDenied,
  errno.hostNotAllowed,
  errno.tableAccessDenied,
  errno.accessDeniedNoPassword,
  errno.secureTransportRequired,
])

/** Nothing that waiting helps against: wrong password, missing privilege, a certificate that is not trusted. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof MysqlError)) return false
  return (
    REFUSALS.has(error.errno) ||
    /^(TLS_FILE|HANDSHAKE_|AUTH_SWITCH|ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)/.test(
      error.symbol,
    )
  )
}
