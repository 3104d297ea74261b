import { errorMessage } from '#pkg/errors/error.ts'
import { describeEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import type { PostgresEndpoint } from '#pkg/kine/endpoint/postgres.ts'
import { Connection } from '#pkg/kine/dialect/postgres/connection.ts'
import type { ConnectionDeps, Preparing } from '#pkg/kine/dialect/postgres/connection.ts'
import {
  ConnectionLostError,
  isMisconfiguration,
  PostgresError,
  stateOf,
  toStoreError,
} from '#pkg/kine/dialect/postgres/errors.ts'
import { login } from '#pkg/kine/dialect/postgres/login.ts'
import type { Row } from '#pkg/kine/dialect/postgres/row.ts'
import { KineError, NoDatastoreError, StoreError } from '#pkg/kine/errors.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Delay before the next attempt while the database is away. */
const RETRY = { initialMs: 50, maxMs: 1_000, jitter: 0.5 } as const
const SETUP_TIMEOUT_MS = 2_000
/** Statements with no longer a timeout are expected to take no time. */
const PULSE_MS = 2_000

/**
 * Settings of every session, as far as the server knows them. The planner must not guess: right after the start of a
 * store it knows no better than that the tables are tiny, and a plan that reads all of them may be kept for a minute. The
 * server is to notice a client that is gone, which may hold the lock on the head: in ten seconds, not in two hours.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  max_parallel_workers_per_gather: '0',
  jit: 'off',
  default_transaction_isolation: 'read committed',
  statement_timeout: '0',
  lock_timeout: '6s',
  idle_in_transaction_session_timeout: '5s',
  tcp_keepalives_idle: '4',
  tcp_keepalives_interval: '2',
  tcp_keepalives_count: '3',
  client_connection_check_interval: '2s',
}
const SETTING_VALUES = Object.entries(SETTINGS).map(([name, value]) => `('${name}', '${value}')`)
const SETUP = {
  name: 'setup',
  sql: `SELECT count(set_config(s.name, v.value, false)), pg_is_in_recovery()
    FROM (VALUES ${SETTING_VALUES.join(', ')}) v (name, value) JOIN pg_settings s USING (name)`,
  types: [],
}

interface Outage {
  readonly since: number
  attempts: number
  /** Nobody tries before. */
  nextAt: number
  cause: unknown
}

/**
 * Opens sessions with the database, on the first of its hosts that takes writes. While the database is away it answers at
 * once, and tries again after a growing delay; the log has one line when that begins and one when it ends.
 */
export class Access {
  readonly #endpoint: PostgresEndpoint
  readonly #log: Logger
  readonly #preparing: Preparing
  readonly #sessions = new Set<Connection>()
  #outage: Outage | undefined
  /** Index of the host that answered last. */
  #host = 0

  constructor(endpoint: PostgresEndpoint, deps: { readonly log: Logger }) {
    this.#endpoint = endpoint
    this.#log = deps.log
    this.#preparing = { byName: endpoint.prepare }
  }

  /** Whether a pooler hands out connections by transaction, as far as that is known: sessions then hold no state. */
  get pooled(): boolean {
    return !this.#preparing.byName
  }

  /**
   * Opens a session; if it breaks while it is in use, the database counts as away.
   *
   * @throws StoreError 'unavailable'
   */
  async connect(onNotification?: ConnectionDeps['onNotification']): Promise<Connection> {
    const outage = this.#outage
    if (outage !== undefined && performance.now() < outage.nextAt) {
      throw new StoreError('unavailable', { cause: outage.cause })
    }
    // Once an attempt has failed there is one at a time; whoever comes meanwhile is answered at once.
    if (outage !== undefined && outage.attempts > 0) outage.nextAt = performance.now() + this.#endpoint.connectTimeoutMs
    try {
      return this.#connected(await this.#connectAnywhere(this.#endpoint, onNotification))
    } catch (error) {
      this.#failed(error)
      throw toStoreError(error)
    }
  }

  /**
   * The first connection: makes the database if there is none of that name and `create` says so.
   *
   * @throws KineError if trying again cannot help; StoreError 'unavailable'
   */
  async connectFirst({ create }: { readonly create: boolean }): Promise<Connection> {
    try {
      return this.#connected(await this.#connectAnywhere(this.#endpoint))
    } catch (error) {
      if (stateOf(error) === '3D000') {
        if (create) return await this.#createDatabase()
        throw new NoDatastoreError(`there is no database ${describeEndpoint(this.#endpoint)}`, { cause: error })
      }
      if (!isMisconfiguration(error)) this.#failed(error)
      throw this.explain(error)
    }
  }

  /** What somebody must do something about, as such; anything else as StoreError. */
  explain(error: unknown): Error {
    if (error instanceof KineError) return error
    // What the server says about our statements (class 42) waits for somebody, too.
    if (!isMisconfiguration(error) && !stateOf(error).startsWith('42')) return toStoreError(error)
    const name = describeEndpoint(this.#endpoint)
    return new KineError(
      `cannot use database ${name}: ${errorMessage(error)}; check the endpoint, its TLS files and the rights of its user`,
      { cause: error },
    )
  }

  /** Said once, until the next connection is made. */
  #lost(error: Error): void {
    if (this.#outage !== undefined) return
    const now = performance.now()
    this.#outage = { since: now, attempts: 0, nextAt: now, cause: error }
    this.#log.warn('the database is away', { database: describeEndpoint(this.#endpoint), err: error.message })
  }

  /**
   * The database does not answer even what takes it no time: whoever waits on another session waits in vain. A commit
   * alone may well take longer.
   */
  #cutAll(error: Error): void {
    const sessions = [...this.#sessions]
    this.#sessions.clear()
    for (const session of sessions) session.destroy(error)
  }

  async #createDatabase(): Promise<Connection> {
    const { database } = this.#endpoint
    const quoted = `"${database.replaceAll('"', '""')}"`
    try {
      const maintenance = await this.#connectAnywhere({ ...this.#endpoint, database: 'postgres' })
      try {
        await maintenance.script(`CREATE DATABASE ${quoted}`, { timeoutMs: 30_000 })
        this.#log.info('created the database', { database: describeEndpoint(this.#endpoint) })
      } finally {
        maintenance.end()
      }
    } catch (error) {
      // Another instance that starts now may have been faster.
      if (!['42P04', '23505'].includes(stateOf(error))) throw this.#cannotCreate(error)
    }
    return await this.connect()
  }

  #cannotCreate(error: unknown): Error {
    if (!(error instanceof PostgresError) && !isMisconfiguration(error)) return toStoreError(error)
    return new KineError(
      `there is no database ${describeEndpoint(this.#endpoint)}, and it cannot be created: ${errorMessage(error)}; create it with this user as owner`,
      { cause: error },
    )
  }

  async #connectAnywhere(
    endpoint: PostgresEndpoint,
    onNotification?: ConnectionDeps['onNotification'],
  ): Promise<Connection> {
    let session: Connection | undefined
    const onClose = (error: Error, busy: boolean): void => {
      if (session !== undefined) this.#sessions.delete(session)
      if (busy) this.#lost(error)
      if (error instanceof ConnectionLostError && error.silentMs <= PULSE_MS) this.#cutAll(error)
    }
    const deps = { preparing: this.#preparing, onClose, ...(onNotification && { onNotification }) }
    const { hosts } = endpoint
    let failure: unknown
    for (let tries = 0; tries < hosts.length; tries += 1) {
      const host = hosts[(this.#host + tries) % hosts.length]
      if (host === undefined) break
      try {
        const connection = new Connection(await login(endpoint, host), deps)
        session = connection
        await this.#setUp(connection)
        this.#sessions.add(connection)
        this.#host = (this.#host + tries) % hosts.length
        return connection
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  /** What a standby tells may be old, so it is not even read from. */
  async #setUp(connection: Connection): Promise<void> {
    const read = (row: Row): boolean => {
      row.number()
      return row.boolean()
    }
    try {
      const standby = await connection.first(SETUP, [], { timeoutMs: SETUP_TIMEOUT_MS, read })
      if (standby !== false) throw new PostgresError('the server is a read-only standby', '25006', false)
    } catch (error) {
      connection.end()
      throw error
    }
  }

  #failed(error: unknown): void {
    const cause = error instanceof Error ? error : new Error(errorMessage(error))
    this.#lost(cause)
    const outage = this.#outage
    if (outage === undefined) return
    outage.cause = cause
    outage.nextAt = performance.now() + backoffMs(outage.attempts, RETRY)
    outage.attempts += 1
  }

  #connected(connection: Connection): Connection {
    const outage = this.#outage
    this.#outage = undefined
    if (outage !== undefined) {
      const durationMs = Math.round(performance.now() - outage.since)
      this.#log.info('the database is back', { database: describeEndpoint(this.#endpoint), durationMs })
    }
    return connection
  }
}
