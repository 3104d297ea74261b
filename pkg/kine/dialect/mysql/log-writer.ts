import type { RowId } from '#pkg/kine/backend.ts'
import type { AppendBatch, AppendResult, Head, HeadLock } from '#pkg/kine/dialect/dialect.ts'
import { appendTexts } from '#pkg/kine/dialect/mysql/append-sql.ts'
import type { Connector } from '#pkg/kine/dialect/mysql/connector.ts'
import { errno, errnoOf, MysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import { HEAD_COLUMNS, headOf } from '#pkg/kine/dialect/mysql/head.ts'
import { Lane } from '#pkg/kine/dialect/mysql/lane.ts'
import { idValues } from '#pkg/kine/dialect/mysql/row.ts'
import type { Row, Session } from '#pkg/kine/dialect/mysql/session.ts'

/** A commit that takes longer is given up: whether it happened is found out from the head. */
const COMMIT_MS = 7_000
/** For a rollback or a ping, which wait for no disk. */
const SHORT_MS = 2_000
/** The server ends a transaction whose owner has been silent for so long; a live one is never silent (below). */
const IDLE_SECONDS = 8
const PING_MS = 2_500
/** What a text may be shorter than the server's largest packet. */
const PACKET_MARGIN_BYTES = 1024

/** Somebody else has written, or the server has undone the transaction in favour of another one, as clusters do. */
const LOST_RACES: ReadonlySet<number> = new Set([
  errno.columnNull,
  errno.deadlock,
  errno.recordChanged,
  errno.rolledBackAtCommit,
])

/**
 * The session that writes.
 *
 * INVARIANTS: one append or lock at a time, the caller sees to that; outside them no transaction is open on the session.
 */
export class LogWriter {
  readonly #lane: Lane
  readonly #pinging: NodeJS.Timeout
  /** Largest packet that the server takes, bytes; known once the database has been opened. */
  maxPacketBytes = 4 * 1024 * 1024
  /** Head of the newest commit that this instance knows it made. */
  committed: Head | undefined
  #locked: Session | undefined

  constructor(connector: Connector) {
    this.#lane = new Lane(connector, { idleSeconds: IDLE_SECONDS })
    this.#pinging = setInterval(() => this.#ping(), PING_MS).unref()
  }

  /** @throws MysqlError: whether it was committed is open, unless the server has answered */
  async append(batch: AppendBatch): Promise<AppendResult> {
    const locked = this.#locked
    this.#locked = undefined
    if (locked?.alive === false) throw new MysqlError('the lock on the head was lost', { lost: true })
    const session = locked ?? (await this.#lane.get())
    const maxBytes = this.maxPacketBytes - PACKET_MARGIN_BYTES
    const texts = appendTexts(batch, { locked: locked !== undefined, maxBytes })
    try {
      const previousValues = await this.#run(session, texts, batch)
      this.committed = batch.next
      return { committed: true, previousValues }
    } catch (error) {
      if (session.alive) await rollBack(session)
      if (LOST_RACES.has(errnoOf(error))) return { committed: false }
      throw error
    }
  }

  /** @throws MysqlError */
  async lock(): Promise<HeadLock> {
    const session = await this.#lane.get()
    try {
      const sql = `BEGIN;SELECT ${HEAD_COLUMNS} FROM k0s_meta WHERE id=1 FOR UPDATE`
      const [, rows] = (await session.query(sql, COMMIT_MS)) as [unknown, readonly Row[]]
      const head = headOf(rows)
      this.#locked = session
      return { head, [Symbol.asyncDispose]: () => this.#unlock(session) }
    } catch (error) {
      if (session.alive) await rollBack(session)
      throw error
    }
  }

  destroy(error: MysqlError): void {
    this.#lane.destroy(error)
  }

  async close(): Promise<void> {
    clearInterval(this.#pinging)
    await this.#lane.close()
  }

  async #run(session: Session, texts: readonly string[], { rows }: AppendBatch): Promise<ReadonlyMap<RowId, Buffer>> {
    let values: ReadonlyMap<RowId, Buffer> = NO_VALUES
    for (const [i, text] of texts.entries()) {
      const results = await session.query(text, COMMIT_MS)
      // The first statement of the first text, if there is anything to read.
      if (i === 0 && rows.some(({ previousId }) => previousId > 0)) values = idValues(results[0] as readonly Row[])
    }
    return values
  }

  async #unlock(session: Session): Promise<void> {
    if (this.#locked !== session) return
    this.#locked = undefined
    if (session.alive) await rollBack(session)
  }

  /** Keeps the session while nothing is written; a statement that runs comes first and answers for it. */
  #ping(): void {
    // What is wrong with it shows when it is used next.
    this.#lane.current?.ping(COMMIT_MS).catch(() => undefined)
  }
}

const NO_VALUES: ReadonlyMap<RowId, Buffer> = new Map()

/** Ends the transaction one way or the other: a session that does not answer is given up. */
async function rollBack(session: Session): Promise<void> {
  try {
    await session.query('ROLLBACK', SHORT_MS)
  } catch (error) {
    session.destroy(new MysqlError('cannot roll back', { lost: true, symbol: 'ROLLBACK' }))
    if (!(error instanceof MysqlError)) throw error
  }
}
