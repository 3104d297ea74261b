import type { Access } from '#pkg/kine/dialect/postgres/access.ts'
import type { Connection } from '#pkg/kine/dialect/postgres/connection.ts'
import { ConnectionLostError, toStoreError } from '#pkg/kine/dialect/postgres/errors.ts'
import type { PoolOptions } from '#pkg/kine/dialect/pool-options.ts'
import { StoreError } from '#pkg/kine/errors.ts'

interface Pooled {
  readonly connection: Connection
  readonly openedAt: number
  idleSince: number
}

/** Reads waiting for a connection beyond these are refused. */
const MAX_WAITING = 10_000

/** Connections that read, one piece of work at a time each. */
export class Pool {
  readonly #options: PoolOptions
  readonly #access: Access
  readonly #idle: Pooled[] = []
  readonly #waiting: (() => void)[] = []
  #open = 0
  #stopped = false
  #reaper: NodeJS.Timeout | undefined

  constructor(options: PoolOptions, access: Access) {
    this.#options = options
    this.#access = access
  }

  /**
   * Runs work that may run twice: a connection may have been closed by the other side while nobody used it.
   *
   * @throws StoreError
   */
  async read<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const pooled = await this.#take()
    const reused = pooled.idleSince > 0
    try {
      return await work(pooled.connection)
    } catch (error) {
      if (!pooled.connection.closed) throw toStoreError(error)
      this.#closeIdle(() => true)
      // No answer in time is no reason to ask again.
      const timedOut = error instanceof ConnectionLostError && error.timedOut
      if (!reused || timedOut) throw toStoreError(error)
    } finally {
      this.#giveBack(pooled)
    }
    return await this.read(work)
  }

  close(): void {
    this.#stopped = true
    clearInterval(this.#reaper)
    this.#closeIdle(() => true)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async #take(): Promise<Pooled> {
    for (;;) {
      if (this.#stopped) throw new StoreError('stopped')
      const idle = this.#idle.pop()
      if (idle !== undefined) {
        if (!idle.connection.closed) return idle
        this.#open -= 1
        continue
      }
      if (this.#open < this.#options.maxOpen) return await this.#openOne()
      if (this.#waiting.length >= MAX_WAITING) throw new StoreError('overloaded')
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  async #openOne(): Promise<Pooled> {
    this.#open += 1
    try {
      const connection = await this.#access.connect()
      return { connection, openedAt: performance.now(), idleSince: 0 }
    } catch (error) {
      this.#open -= 1
      // Those that wait would otherwise wait for a connection that nobody opens.
      for (const wake of this.#waiting.splice(0)) wake()
      throw error
    }
  }

  #giveBack(pooled: Pooled): void {
    const { maxIdle, maxLifetimeMs } = this.#options
    const now = performance.now()
    const old = maxLifetimeMs > 0 && now - pooled.openedAt > maxLifetimeMs
    if (this.#stopped || pooled.connection.closed || old || this.#idle.length >= maxIdle) {
      this.#open -= 1
      pooled.connection.end()
    } else {
      pooled.idleSince = now
      this.#idle.push(pooled)
      this.#startReaper()
    }
    this.#waiting.shift()?.()
  }

  #startReaper(): void {
    const { maxIdleMs } = this.#options
    if (maxIdleMs <= 0) return
    this.#reaper ??= setInterval(
      () => {
        const before = performance.now() - maxIdleMs
        this.#closeIdle(({ idleSince }) => idleSince < before)
      },
      Math.max(maxIdleMs / 2, 100),
    ).unref()
  }

  #closeIdle(which: (pooled: Pooled) => boolean): void {
    const stay: Pooled[] = []
    for (const pooled of this.#idle.splice(0)) {
      if (which(pooled)) {
        this.#open -= 1
        pooled.connection.end()
      } else stay.push(pooled)
    }
    this.#idle.push(...stay)
  }
}
