import type { Connector } from '#pkg/kine/dialect/mysql/connector.ts'
import { MysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import type { PoolOptions } from '#pkg/kine/dialect/pool-options.ts'
import type { Session } from '#pkg/kine/dialect/mysql/session.ts'

interface Pooled {
  readonly session: Session
  readonly openedAt: number
  idleSince: number
}

/** Sessions that read; whoever comes when all are busy waits for the next that is free. */
export class ReaderPool {
  readonly #options: PoolOptions
  readonly #connector: Pick<Connector, 'connect'>
  /** The one used last at the end. */
  readonly #idle: Pooled[] = []
  readonly #busy = new Set<Pooled>()
  readonly #waiting: (() => void)[] = []
  #used = 0
  #reaper: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: PoolOptions, connector: Pick<Connector, 'connect'>) {
    this.#options = options
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
          if (idle.session.alive || this.#closed || isTimeout(error)) throw error
        }
      }
      const session = await this.#connector.connect()
      return await this.#run({ session, openedAt: performance.now(), idleSince: 0 }, read)
    } finally {
      this.#leave()
    }
  }

  /** Breaks all sessions off. */
  destroy(error: MysqlError): void {
    for (const { session } of [...this.#idle.splice(0), ...this.#busy]) session.destroy(error)
  }

  /** Ends the idle sessions; the others end with what they are doing. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#reaper)
    await Promise.all(this.#idle.splice(0).map(({ session }) => session.close()))
  }

  async #run<T>(pooled: Pooled, read: (session: Session) => Promise<T>): Promise<T> {
    this.#busy.add(pooled)
    try {
      return await read(pooled.session)
    } finally {
      this.#busy.delete(pooled)
      this.#giveBack(pooled)
    }
  }

  #giveBack(pooled: Pooled): void {
    const { session } = pooled
    if (!session.alive) return
    pooled.idleSince = performance.now()
    if (this.#closed || this.#idle.length >= this.#options.maxIdle || this.#isOld(pooled)) {
      void session.close()
      return
    }
    this.#idle.push(pooled)
    this.#scheduleReaping()
  }

  #takeIdle(): Pooled | undefined {
    for (let pooled = this.#idle.pop(); pooled !== undefined; pooled = this.#idle.pop()) {
      if (pooled.session.alive) return pooled
    }
    return undefined
  }

  /** Of the age or of the idleness at which a session is closed. */
  #isOld({ openedAt, idleSince }: Pooled): boolean {
    const { maxLifetimeMs, maxIdleMs } = this.#options
    const now = performance.now()
    return (maxLifetimeMs > 0 && now - openedAt >= maxLifetimeMs) || (maxIdleMs > 0 && now - idleSince >= maxIdleMs)
  }

  #scheduleReaping(): void {
    const limits = [this.#options.maxIdleMs, this.#options.maxLifetimeMs].filter((ms) => ms > 0)
    if (this.#reaper !== undefined || limits.length === 0) return
    this.#reaper = setTimeout(
      () => {
        this.#reaper = undefined
        const idle = this.#idle.splice(0)
        this.#idle.push(...idle.filter((pooled) => pooled.session.alive && !this.#isOld(pooled)))
        for (const pooled of idle) if (!this.#idle.includes(pooled)) void pooled.session.close()
        if (this.#idle.length > 0) this.#scheduleReaping()
      },
      Math.min(...limits, MAX_REAP_MS),
    ).unref()
  }

  async #enter(): Promise<void> {
    if (this.#closed) throw new MysqlError('closed', { lost: true })
    if (this.#used < this.#options.maxOpen) {
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

/** Longest time between two looks for old sessions. */
const MAX_REAP_MS = 60_000

function isTimeout(error: unknown): boolean {
  return error instanceof MysqlError && error.symbol === 'ETIMEDOUT'
}
