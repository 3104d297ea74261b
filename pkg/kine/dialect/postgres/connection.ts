import type { Duplex } from 'node:stream'
import { ConnectionLostError, isForeignStatement, parseError } from '#pkg/kine/dialect/postgres/errors.ts'
import type { PostgresError } from '#pkg/kine/dialect/postgres/errors.ts'
import { MessageReader } from '#pkg/kine/dialect/postgres/message-reader.ts'
import { MessageWriter, sizeOf } from '#pkg/kine/dialect/postgres/message-writer.ts'
import type { Param } from '#pkg/kine/dialect/postgres/message-writer.ts'
import { Row } from '#pkg/kine/dialect/postgres/row.ts'

/** A statement that is planned once a connection. */
export interface Statement {
  readonly name: string
  readonly sql: string
  /** Types of its parameters. */
  readonly types: readonly number[]
}

/** Whether statements may be prepared by name; shared by all connections, cleared when a pooler is in the way. */
export interface Preparing {
  byName: boolean
}

/** What a connection tells its owner. */
export interface ConnectionDeps {
  readonly preparing: Preparing
  /** Once, when it is gone. `busy`: somebody waited for an answer, or the server said why it closed. */
  readonly onClose?: (error: Error, busy: boolean) => void
  readonly onNotification?: (channel: string, payload: string) => void
}

const GOODBYE_MS = 500

interface Request {
  readonly onRow: (row: Row) => void
  readonly resolve: (tag: string) => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout
  /** Of a statement that is prepared once this has been heard of. */
  readonly name: string
  error: unknown
  /** Of the last command, such as `UPDATE 1`. */
  tag: string
}

/**
 * A session, spoken to in binary. pg logs in; from there on its own parser is of no use, since it takes every column for
 * UTF-8 text.
 *
 * INVARIANTS: answers come in the order of the requests; a request ends with the server's ReadyForQuery, or all of them
 * with the connection; a statement is not asked for again before its first use has been answered.
 */
export class Connection {
  readonly #socket: Duplex
  readonly #deps: ConnectionDeps
  readonly #requests: Request[] = []
  readonly #prepared = new Set<string>()
  readonly #row = new Row()
  /** Pieces of data that have arrived. */
  #heard = 0
  #closed: Error | undefined
  #farewell: PostgresError | undefined

  constructor(socket: Duplex, deps: ConnectionDeps) {
    this.#socket = socket
    this.#deps = deps
    const reader = new MessageReader((type, body) => this.#onMessage(type, body))
    socket.on('data', (chunk: Buffer) => {
      this.#heard += 1
      // A result of many megabytes may take its time, as long as it comes.
      this.#requests[0]?.timer.refresh()
      reader.push(chunk)
    })
    socket.on('error', (error: Error) => this.#onClose(new ConnectionLostError(error.message, { cause: error })))
    socket.on('close', () =>
      this.#onClose(this.#farewell ?? new ConnectionLostError('the server closed the connection')),
    )
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  /** Requests that have no answer yet. */
  get waiting(): number {
    return this.#requests.length
  }

  /**
   * Runs a statement, in a transaction of its own unless one is open; resolves with the command's tag.
   *
   * @throws PostgresError, ConnectionLostError (also when nothing comes for `timeoutMs`; it may have been done all the same)
   */
  async query(
    statement: Statement,
    params: readonly Param[],
    options: { readonly timeoutMs: number; readonly onRow?: (row: Row) => void },
  ): Promise<string> {
    const { preparing } = this.#deps
    const { timeoutMs, onRow } = options
    if (preparing.byName) {
      try {
        return await this.#send(this.#byName(statement, params), timeoutMs, onRow, statement.name)
      } catch (error) {
        if (!isForeignStatement(error)) throw error
        // It was refused before anything was done.
        preparing.byName = false
      }
    }
    const message = new MessageWriter(messageSize(statement, params)).parse('', statement.sql, statement.types)
    return await this.#send(message.bind('', params).execute().sync().finish(), timeoutMs, onRow)
  }

  /** The first row of a statement's result, undefined if there is none; otherwise as query(). */
  async first<T>(
    statement: Statement,
    params: readonly Param[],
    options: { readonly timeoutMs: number; readonly read: (row: Row) => T },
  ): Promise<T | undefined> {
    const found: T[] = []
    const onRow = (row: Row): void => {
      if (found.length === 0) found.push(options.read(row))
    }
    await this.query(statement, params, { timeoutMs: options.timeoutMs, onRow })
    return found[0]
  }

  /** Runs statements without parameters or results; resolves with the last one's tag. */
  script(sql: string, options: { readonly timeoutMs: number }): Promise<string> {
    return this.#send(new MessageWriter().query(sql).finish(), options.timeoutMs)
  }

  /** Says goodbye; requests that have no answer yet are lost. */
  end(): void {
    if (this.#closed !== undefined) return
    this.#socket.end(new MessageWriter().terminate().finish())
    this.#onClose(new ConnectionLostError('the connection was closed'))
    // A server that does not react must not keep the process.
    setTimeout(() => this.#socket.destroy(), GOODBYE_MS).unref()
  }

  /** Cuts the connection. */
  destroy(error: Error): void {
    this.#onClose(error)
    this.#socket.destroy()
  }

  #byName(statement: Statement, params: readonly Param[]): Buffer {
    const { name, sql, types } = statement
    const message = new MessageWriter(messageSize(statement, params))
    if (!this.#prepared.has(name)) message.parse(name, sql, types)
    return message.bind(name, params).execute().sync().finish()
  }

  #send(message: Buffer, timeoutMs: number, onRow: Request['onRow'] = ignoreRow, name = ''): Promise<string> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const heard = this.#heard
        // If it was this process that stood still, the answer has arrived and is read first.
        setImmediate(() => this.#onSilence(request, heard, timeoutMs))
      }, timeoutMs)
      const request: Request = { onRow, resolve, reject, timer, name, error: undefined, tag: '' }
      this.#requests.push(request)
      this.#socket.write(message)
    })
  }

  #onSilence(request: Request, heard: number, silentMs: number): void {
    if (!this.#requests.includes(request)) return
    if (heard === this.#heard) {
      this.destroy(new ConnectionLostError(`the database has not answered for ${silentMs} ms`, { silentMs }))
    } else request.timer.refresh()
  }

  #onMessage(type: string, body: Buffer): void {
    const [request] = this.#requests
    switch (type) {
      case 'D':
        this.#onRow(request, body)
        return
      case 'C':
        if (request !== undefined) request.tag = body.toString('latin1', 0, body.length - 1)
        return
      case 'E':
        this.#onError(request, parseError(body))
        return
      case '1':
        if (request !== undefined) this.#prepared.add(request.name)
        return
      case 'Z':
        this.#finish()
        return
      case 'A':
        this.#onNotification(body)
        return
      default:
      // Completions of the single steps, notices and parameters say nothing that is needed.
    }
  }

  #onRow(request: Request | undefined, body: Buffer): void {
    if (request === undefined || request.error !== undefined) return
    try {
      request.onRow(this.#row.reset(body))
    } catch (error) {
      request.error = error
    }
  }

  #onError(request: Request | undefined, error: PostgresError): void {
    if (error.fatal) this.#farewell = error
    if (request !== undefined) request.error ??= error
  }

  #finish(): void {
    const request = this.#requests.shift()
    if (request === undefined) return
    clearTimeout(request.timer)
    if (request.error === undefined) request.resolve(request.tag)
    else request.reject(request.error)
  }

  /** The notifying server process, then channel and payload as C strings. */
  #onNotification(body: Buffer): void {
    const channelEnd = body.indexOf(0, 4)
    const channel = body.toString('utf8', 4, channelEnd)
    this.#deps.onNotification?.(channel, body.toString('utf8', channelEnd + 1, body.length - 1))
  }

  #onClose(error: Error): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    const requests = this.#requests.splice(0)
    for (const request of requests) {
      clearTimeout(request.timer)
      request.reject(request.error ?? error)
    }
    this.#deps.onClose?.(error, requests.length > 0 || this.#farewell !== undefined)
  }
}

function messageSize({ sql, types }: Statement, params: readonly Param[]): number {
  return sql.length + types.length * 4 + sizeOf(params) + 128
}

function ignoreRow(): void {
  // Most statements are run for their effect.
}
