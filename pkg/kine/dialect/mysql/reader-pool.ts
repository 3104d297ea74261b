import type { Connector } from '#pkg/kine/dialect/mysql/connector.ts'
import { MysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import type { Session } from '#pkg/kine/dialect/mysql/session.ts'

/** Sessions that read, up to a number; whoever comes when all are busy waits for the next that is free. */
export class ReaderPool {
  readonly #connector: Pick<Connector, 'connect'>
  readonly #size: number
  readonly #idle: Session[] = []
  readonly #busy = new Set<Session>()
  readonly #waiting: (() => void)[] = []
  #used = 0
  #closed = false

  constructor(size: number, connector: Pick<Connector, 'connect'>) {
    this.#size = size
    this.#connector = connector
  }

  /**
   * Runs `read` on a session of its own. A session that broke while nobody used it is only found out about now, so a
   * loss on one that was idle is no reason to fail yet.
   *
   * @throws MysqlError
   */
  async use<T>(read: (session: Session) => Promise<T>): Promise<T> {
    await this.#enter()
    try {
      const idle = this.#takeIdle()
      if (idle !== undefined) {
        try {
          return await this.#run(idle, read)
        } catch (error) {
          if (idle.alive || this.#closed || isTimeout(error)) throw error
        }
      }
      return await this.#run(await this.#connector.connect(), read)
    } finally {
      this.#leave()
    }
  }

  /** Breaks all sessions off. */
  destroy(error: MysqlError): void {
    for (const session of [...this.#idle.splice(0), ...this.#busy]) session.destroy(error)
  }

  /** Ends the idle sessions; the others end with what they are doing. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#idle.splice(0).map((session) => session.close()))
  }

  async #run<T>(session: Session, read: (session: Session) => Promise<T>): Promise<T> {
    this.#busy.add(session)
    try {
      return await read(session)
    } finally {
      this.#busy.delete(session)
      if (this.#closed) await session.close()
      else if (session.alive) this.#idle.push(session)
    }
  }

  #takeIdle(): Session | undefined {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (session.alive) return session
    }
    return undefined
  }

  async #enter(): Promise<void> {
    if (this.#closed) throw new MysqlError('closed', { lost: true })
    if (this.#used < this.#size) {
      this.#used += 1
      return
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Hands the place over to whoever waits longest. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#used -= 1
    else next()
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof MysqlError && error.symbol === 'ETIMEDOUT'
}
