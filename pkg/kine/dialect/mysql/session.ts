import { connect as connectSocket } from 'node:net'
import type { Socket } from 'node:net'
import mysql from 'mysql2'
import type { Connection, ConnectionOptions } from 'mysql2'
import { MysqlError, toMysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import type { MysqlEndpoint } from '#pkg/kine/endpoint/mysql.ts'

/** A result row, columns in the order of the statement. */
export type Row = readonly unknown[]

/** Parameter of a prepared statement; numbers and bigints are sent as BIGINT. */
export type Param = number | bigint | Buffer | string

/** PEM texts for TLS to the database, and how far the server is trusted. */
export interface SessionTls {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  /** Whether its certificate must be valid for the host that was asked for. */
  readonly verify: boolean
}

/** How to reach the database. */
export interface SessionOptions extends Pick<MysqlEndpoint, 'address' | 'user' | 'password' | 'connectTimeoutMs'> {
  /** Undefined: none is selected. */
  readonly database: string | undefined
  readonly tls: SessionTls | undefined
}

/** Quiet time after which the kernel asks whether the other side still lives. */
const KEEPALIVE_IDLE_MS = 5_000
/** Time that the server gets to take leave. */
const CLOSE_MS = 500

/**
 * One connection. Statements queue up; one that gets no answer in time takes the connection down, because nothing is
 * known of it any more and the answer could still come.
 */
export class Session {
  readonly #connection: Connection
  readonly #socket: Socket
  readonly #waiting = new Set<(error: MysqlError) => void>()
  #lost: MysqlError | undefined

  /** @throws MysqlError */
  static async open(options: SessionOptions): Promise<Session> {
    const socket = openSocket(options.address)
    let session: Session
    try {
      session = new Session(socket, mysql.createConnection(connectionOptions(options, socket)))
    } catch (error) {
      socket.destroy()
      throw toMysqlError(error)
    }
    try {
      await session.#call((done) => session.#connection.connect(done), options.connectTimeoutMs + 500)
      return session
    } catch (error) {
      session.destroy(toMysqlError(error))
      throw error
    }
  }

  private constructor(socket: Socket, connection: Connection) {
    this.#socket = socket
    this.#connection = connection
    connection.on('error', (error) => this.destroy(toMysqlError(error)))
    socket.on('close', () => this.destroy(new MysqlError('the server closed the connection', { lost: true })))
  }

  /** Nothing is known against it. */
  get alive(): boolean {
    return this.#lost === undefined
  }

  /**
   * One or several statements as text. One statement gives its rows; several give, for each, its rows or its header.
   *
   * @throws MysqlError of the first that fails; those behind it were not run
   */
  async query(sql: string, timeoutMs: number): Promise<readonly unknown[]> {
    const result = await this.#call((done) => this.#connection.query({ sql, rowsAsArray: true }, done), timeoutMs)
    return Array.isArray(result) ? (result as readonly unknown[]) : []
  }

  /** A prepared statement, one that reads. @throws MysqlError */
  async execute(sql: string, params: readonly Param[], timeoutMs: number): Promise<readonly Row[]> {
    const values = params.map((param) => (typeof param === 'object' || typeof param === 'string' ? param : int8(param)))
    const result = await this.#call(
      (done) => this.#connection.execute({ sql, rowsAsArray: true, values }, done),
      timeoutMs,
    )
    return result as readonly Row[]
  }

  /** @throws MysqlError */
  async ping(timeoutMs: number): Promise<void> {
    await this.#call((done) => this.#connection.ping(done), timeoutMs)
  }

  /** Takes leave of the server. */
  async close(): Promise<void> {
    if (!this.alive) return
    await this.#call((done) => this.#connection.end(done), CLOSE_MS).catch(() => undefined)
    this.destroy(new MysqlError('closed', { lost: true }))
  }

  /** Breaks the connection off; what waits is rejected with `error`. */
  destroy(error: MysqlError): void {
    if (this.#lost !== undefined) return
    const { errno, symbol } = error
    this.#lost = error.lost ? error : new MysqlError(error.message, { errno, symbol, lost: true })
    this.#socket.destroy()
    for (const reject of this.#waiting) reject(this.#lost)
  }

  /** mysql2 tells nobody when it is closed on this side, so whoever waits is kept track of here. */
  #call(start: (done: (error: unknown, result?: unknown) => void) => unknown, timeoutMs: number): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    const timer = setTimeout(() => {
      this.destroy(new MysqlError(`no answer within ${timeoutMs} ms`, { symbol: 'ETIMEDOUT', lost: true }))
    }, timeoutMs)
    this.#waiting.add(reject)
    start((error, result) => {
      if (error === null || error === undefined) {
        resolve(result)
        return
      }
      const known = toMysqlError(error)
      if (known.lost) this.destroy(known)
      reject(known)
    })
    return promise.finally(() => {
      clearTimeout(timer)
      this.#waiting.delete(reject)
    })
  }
}

function int8(value: number | bigint): unknown {
  return mysql.TypedParameter.BIGINT(value)
}

function openSocket(address: MysqlEndpoint['address']): Socket {
  if ('path' in address) return connectSocket(address.path)
  const options = { ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_IDLE_MS }
  // Of a socket connected to an IP address Node does not know what its certificate has to be valid for, and mysql2 does
  // not say so either; for a name Node sets the same field.
  return Object.assign(connectSocket(options), { _host: address.host })
}

function connectionOptions(options: SessionOptions, socket: Socket): ConnectionOptions {
  const { address, user, password, database, tls } = options
  return {
    stream: () => socket,
    ...('host' in address ? { host: address.host, port: address.port } : { socketPath: address.path }),
    user,
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
    connectTimeout: options.connectTimeoutMs,
    // One byte a character: text protocol and values go together as they are (append-sql.ts).
    charset: 'LATIN1_SWEDISH_CI',
    multipleStatements: true,
    supportBigNumbers: true,
    maxPreparedStatements: 64,
    // Nothing is put into texts by mysql2, so it must not look for placeholders in values either.
    queryFormat: (sql) => sql,
    // The server must not be able to ask for files of this host.
    flags: ['-LOCAL_FILES'],
    ...(tls !== undefined && {
      ssl: {
        ...(tls.ca && { ca: tls.ca }),
        ...(tls.cert && { cert: tls.cert }),
        ...(tls.key && { key: tls.key }),
        rejectUnauthorized: tls.verify,
        verifyIdentity: tls.verify,
        minVersion: 'TLSv1.2',
      },
    }),
  }
}
