import type { Revision } from '#pkg/kine/backend.ts'
import type { Head } from '#pkg/kine/dialect/dialect.ts'
import type { Access } from '#pkg/kine/dialect/postgres/access.ts'
import type { Connection } from '#pkg/kine/dialect/postgres/connection.ts'
import { READ_HEAD } from '#pkg/kine/dialect/postgres/statements.ts'
import { readHead } from '#pkg/kine/dialect/postgres/version.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** What a follower works with. */
export interface FollowerDeps {
  readonly access: Access
  readonly log: Logger
  readonly channel: () => string
  /** Sends a notification on another connection. */
  readonly notify: () => Promise<void>
  readonly onHead: (revision: Revision | undefined) => void
}

/** While notifications arrive the head is looked at all the same, in case one gets lost; also finds a dead connection. */
const NOTIFIED_POLL_MS = 1_000
/** Without notifications: the interval after a change, and how far it grows while there is none. */
const MIN_POLL_MS = 10
const MAX_POLL_MS = 250
const POLL_GROWTH = 1.5
/** Time in which a notification must come back, to be counted on. */
const NOTIFY_REPLY_MS = 300
const RETRY_MS = 100
const QUERY_TIMEOUT_MS = 1_400

/**
 * Tells of commits, by LISTEN on a connection of its own. Where notifications do not arrive, as behind a pooler that
 * hands out connections by transaction, it polls the head, which is one row.
 */
export class Follower implements AsyncDisposable {
  readonly #deps: FollowerDeps
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  #head: Head | undefined
  #notified = false
  #told = false

  constructor(deps: FollowerDeps) {
    this.#deps = deps
    this.#running = this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    const stopped = (): boolean => signal.aborted
    while (!stopped()) {
      try {
        await this.#follow()
      } catch {
        // Access says that the database is away; this only has to come back.
      }
      await pause(RETRY_MS, signal)
    }
  }

  async #follow(): Promise<void> {
    const { access, channel, onHead, notify } = this.#deps
    const { signal } = this.#stopping
    const stopped = (): boolean => signal.aborted
    const notified = (): boolean => this.#notified
    this.#notified = false
    const connection = await access.connect((_, payload) => this.#onNotification(payload))
    const end = (): void => connection.end()
    signal.addEventListener('abort', end, { once: true })
    try {
      // The pooler's connection would go on listening, for nobody.
      if (!access.pooled) await connection.script(`LISTEN "${channel()}"`, { timeoutMs: QUERY_TIMEOUT_MS })
      onHead(undefined)
      // The reply to this shows that they do arrive.
      await notify()
      await pause(NOTIFY_REPLY_MS, signal)
      this.#tellMode()
      for (let pollMs = MIN_POLL_MS; !stopped();) {
        const changed = await this.#poll(connection)
        pollMs = changed ? MIN_POLL_MS : Math.min(pollMs * POLL_GROWTH, MAX_POLL_MS)
        await pause(notified() ? NOTIFIED_POLL_MS : pollMs, signal)
      }
    } finally {
      signal.removeEventListener('abort', end)
      connection.end()
    }
  }

  /** An empty payload says that leases or the compact revision have changed. */
  #onNotification(payload: string): void {
    this.#notified = true
    this.#deps.onHead(payload === '' ? undefined : Number(payload))
  }

  #tellMode(): void {
    if (this.#notified || this.#told || this.#stopping.signal.aborted) return
    this.#told = true
    this.#deps.log.info('notifications of the database do not arrive, as behind a pooler: polling it instead', {
      maxPollMs: MAX_POLL_MS,
    })
  }

  async #poll(connection: Connection): Promise<boolean> {
    const before = this.#head
    const now = await connection.first(READ_HEAD, [], { timeoutMs: QUERY_TIMEOUT_MS, read: readHead })
    if (now === undefined || (before !== undefined && sameHead(now, before))) return false
    this.#head = now
    this.#deps.onHead(now.revision === before?.revision ? undefined : now.revision)
    return true
  }
}

function sameHead(a: Head, b: Head): boolean {
  return a.revision === b.revision && a.leaseSeq === b.leaseSeq && a.compactRevision === b.compactRevision
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, { signal }).catch(() => undefined)
}
