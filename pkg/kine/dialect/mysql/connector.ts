import { errorMessage } from '#pkg/errors/error.ts'
import { describeEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import type { MysqlEndpoint } from '#pkg/kine/endpoint/mysql.ts'
import { readTlsFiles } from '#pkg/kine/endpoint/tls-files.ts'
import { errno, isRefusal, MysqlError, toMysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import { Session } from '#pkg/kine/dialect/mysql/session.ts'
import type { SessionTls } from '#pkg/kine/dialect/mysql/session.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Delays between attempts to connect while the database is away. */
const BACKOFF = { initialMs: 100, maxMs: 1_000, jitter: 0.5 }
/** For the statement that sets a session up. */
const SETUP_MS = 1_000
/** Of connections that serve: longer than any pause of theirs. */
const IDLE_SECONDS = 600
/** Beyond this the server takes a connection for dead that is in the middle of sending or receiving. */
const NET_SECONDS = 10
/** Wait for the lock on the head: whoever holds it does so for one commit, or for as long as a dead one is noticed. */
const LOCK_SECONDS = 5

/** What a session is for, as far as the server has to know. */
export interface SessionSetup {
  /** The server closes it, and ends what it left open, after so long without a statement. Default 10 minutes. */
  readonly idleSeconds?: number
}

/** What Connector needs of its surroundings. */
export interface ConnectorDeps {
  readonly log: Logger
  /** A new connection could not be made: those that exist are most likely dead, too. */
  readonly onOutage: (error: MysqlError) => void
}

/**
 * Makes sessions. While the database is away it says so once, attempts follow each other with growing delays whoever
 * asks for them, and whoever asks in between is told at once.
 */
export class Connector {
  readonly #endpoint: MysqlEndpoint
  readonly #deps: ConnectorDeps
  #outage: { readonly since: number; failures: number; retryAt: number; error: MysqlError } | undefined
  #closed = false

  constructor(endpoint: MysqlEndpoint, deps: ConnectorDeps) {
    this.#endpoint = endpoint
    this.#deps = deps
  }

  /** @throws MysqlError */
  async connect(setup: SessionSetup = {}): Promise<Session> {
    if (this.#closed) throw new MysqlError('closed', { lost: true })
    if (this.#outage !== undefined && performance.now() < this.#outage.retryAt) throw this.#outage.error
    try {
      const session = await this.#open(this.#endpoint.database)
      await session.query(setupSql(setup), SETUP_MS)
      this.#succeeded()
      return session
    } catch (error) {
      const known = toMysqlError(error)
      throw known.errno === errno.unknownDatabase ? known : this.#failed(known)
    }
  }

  /** A session that has no database selected, to create one. @throws MysqlError */
  connectWithout(): Promise<Session> {
    return this.#open(undefined)
  }

  /** A statement that takes no time was not answered in time: whoever waits on another session waits in vain, too. */
  unanswered(error: MysqlError): void {
    this.#fail(error)
    this.#deps.onOutage(error)
  }

  /** No more sessions. */
  close(): void {
    this.#closed = true
  }

  async #open(database: string | undefined): Promise<Session> {
    const { tls } = this.#endpoint
    const options = { ...this.#endpoint, database }
    if (tls.mode === 'disable' || 'path' in options.address) return await Session.open({ ...options, tls: undefined })
    const secure = await readTls(this.#endpoint)
    try {
      return await Session.open({ ...options, tls: secure })
    } catch (error) {
      if (tls.mode !== 'prefer' || toMysqlError(error).symbol !== 'HANDSHAKE_NO_SSL_SUPPORT') throw error
      return await Session.open({ ...options, tls: undefined })
    }
  }

  #succeeded(): void {
    if (this.#outage === undefined) return
    const durationMs = Math.round(performance.now() - this.#outage.since)
    this.#outage = undefined
    this.#deps.log.info('the database is back', { database: describeEndpoint(this.#endpoint), durationMs })
  }

  #failed(error: MysqlError): MysqlError {
    this.#fail(error)
    // Without a number of the server's it was the network, and that is gone for all of them.
    if (error.errno === 0 && !isRefusal(error)) this.#deps.onOutage(error)
    return error
  }

  #fail(error: MysqlError): void {
    const now = performance.now()
    if (this.#outage === undefined) {
      this.#outage = { since: now, failures: 0, retryAt: 0, error }
      const fields = { database: describeEndpoint(this.#endpoint), err: errorMessage(error) }
      this.#deps.log.warn('the database is away', fields)
    }
    this.#outage.error = error
    if (now >= this.#outage.retryAt) {
      this.#outage.retryAt = now + backoffMs(this.#outage.failures, BACKOFF)
      this.#outage.failures += 1
    }
  }
}

/**
 * Commits need strict mode (append-sql.ts), and reads that see the newest commit. The transaction of a session whose
 * owner has died ends when the server misses it.
 */
function setupSql({ idleSeconds = IDLE_SECONDS }: SessionSetup): string {
  const settings = [
    "sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
    "time_zone = '+00:00'",
    'autocommit = 1',
    `wait_timeout = ${idleSeconds}`,
    `net_read_timeout = ${NET_SECONDS}`,
    `net_write_timeout = ${NET_SECONDS}`,
    `innodb_lock_wait_timeout = ${LOCK_SECONDS}`,
    `lock_wait_timeout = ${LOCK_SECONDS}`,
  ]
  return `SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION ${settings.join(', ')}`
}

async function readTls({ tls: { mode, ...files } }: MysqlEndpoint): Promise<SessionTls> {
  try {
    return { verify: mode === 'verify-full', ...(await readTlsFiles(files)) }
  } catch (error) {
    throw new MysqlError(errorMessage(error), { symbol: 'TLS_FILE', lost: true })
  }
}
