import type { Revision } from '#pkg/kine/backend.ts'
import type { Head } from '#pkg/kine/dialect/dialect.ts'
import type { Connector } from '#pkg/kine/dialect/mysql/connector.ts'
import { MysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import { sameHead } from '#pkg/kine/dialect/heads.ts'
import { HEAD_COLUMNS, headOf } from '#pkg/kine/dialect/mysql/head.ts'
import { Lane } from '#pkg/kine/dialect/mysql/lane.ts'

/** Whoever asks for the head learns within this time that there is no answer. */
const HEAD_MS = 1_200
/** Pause between two looks at the head while others write, and its limit when they do not. */
const BUSY_MS = 10
const IDLE_MS = 200

/** The session that looks at the head: MySQL tells nobody of commits, but one row is quickly read. */
export class Tail {
  readonly #connector: Connector
  readonly #lane: Lane
  readonly #ownHead: () => Head | undefined
  readonly #listeners = new Set<(revision: Revision | undefined) => void>()
  #seen: Head | undefined
  #timer: NodeJS.Timeout | undefined
  #pauseMs = IDLE_MS
  #answeredAt = -Infinity
  #closed = false

  /** `ownHead` is that of the newest commit that this instance made. */
  constructor(connector: Connector, ownHead: () => Head | undefined) {
    this.#connector = connector
    this.#lane = new Lane(connector)
    this.#ownHead = ownHead
  }

  /** @throws MysqlError within 1.5 s */
  async head(): Promise<Head> {
    const { promise, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => reject(new MysqlError(`no answer within ${HEAD_MS} ms`, { symbol: 'ETIMEDOUT', lost: true })),
      HEAD_MS + 100,
    )
    try {
      return await Promise.race([this.#read(), promise])
    } finally {
      clearTimeout(timer)
    }
  }

  follow(onHead: (revision: Revision | undefined) => void): AsyncDisposable {
    this.#listeners.add(onHead)
    if (this.#timer === undefined) this.#schedule(0)
    return {
      [Symbol.asyncDispose]: () => {
        this.#listeners.delete(onHead)
        if (this.#listeners.size === 0) this.#stop()
        return Promise.resolve()
      },
    }
  }

  /** Whether the database has answered just now: new connections may be slow when everything is. */
  get answering(): boolean {
    return performance.now() - this.#answeredAt < HEAD_MS
  }

  destroy(error: MysqlError): void {
    this.#lane.destroy(error)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#stop()
    await this.#lane.close()
  }

  async #read(): Promise<Head> {
    const session = await this.#lane.get()
    try {
      const head = headOf(await session.execute(`SELECT ${HEAD_COLUMNS} FROM k0s_meta WHERE id=1`, [], HEAD_MS))
      this.#observe(head)
      return head
    } catch (error) {
      if (error instanceof MysqlError && error.symbol === 'ETIMEDOUT') this.#connector.unanswered(error)
      throw error
    }
  }

  #observe(head: Head): void {
    const before = this.#seen
    if (before !== undefined && sameHead(before, head)) return
    this.#seen = head
    const own = this.#ownHead()
    if (own === undefined || !sameHead(own, head)) this.#pauseMs = BUSY_MS
    const revision = before !== undefined && before.revision < head.revision ? head.revision : undefined
    for (const listener of this.#listeners) listener(revision)
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#closed || this.#listeners.size === 0) return
    this.#timer = setTimeout(() => void this.#poll(), ms)
  }

  async #poll(): Promise<void> {
    try {
      await this.#read()
    } catch {
      // The connector has said what is wrong. Whatever the head is afterwards is news.
      this.#seen = undefined
    }
    this.#schedule(this.#pauseMs)
    this.#pauseMs = Math.min(this.#pauseMs * 2, IDLE_MS)
  }

  #stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
