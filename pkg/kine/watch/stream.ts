import { errorMessage } from '#pkg/errors/error.ts'
import type { ChangeEvent, Revision } from '#pkg/kine/backend.ts'
import { readBehind } from '#pkg/kine/watch/catch-up.ts'
import type { CatchUpDeps } from '#pkg/kine/watch/catch-up.ts'
import { Watcher } from '#pkg/kine/watch/watcher.ts'
import type { WatchOptions, WatchSink } from '#pkg/kine/watch/watcher.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Wait before a watcher that is behind asks again after the database failed. */
const RETRY_MS = 250

/** What a stream needs of the hub. */
export interface WatchStreamDeps extends CatchUpDeps {
  readonly sink: WatchSink
  readonly revision: () => Revision
  readonly log: Logger
  readonly subscribe: (subscription: StreamSubscription) => void
  readonly unsubscribe: (subscription: StreamSubscription) => void
  readonly onClose: () => void
  /** Events were sent to a watcher. */
  readonly onSent: (events: number) => void
}

/** A watcher as the router keeps it. */
export interface StreamSubscription {
  readonly range: Watcher['range']
  readonly watcher: Watcher
  readonly stream: WatchStream
}

/** Why a watch was not created; the text is etcd's. */
export interface WatchRefusal {
  readonly refused: string
}

/**
 * The watches of one client stream.
 *
 * INVARIANTS: a watcher is either up to date, and gets events from `deliver` as they are published, or behind, and gets
 * them from `#catchUp` in log order, never from both; it changes from behind to up to date only in a turn of the event
 * loop in which its cursor has passed the newest published revision.
 */
export class WatchStream {
  readonly #deps: WatchStreamDeps
  readonly #subscriptions = new Map<number, StreamSubscription>()
  readonly #behind = new Set<Watcher>()
  #nextId = 0
  #catchingUp = false
  #closed = false
  #retryTimer: NodeJS.Timeout | undefined

  constructor(deps: WatchStreamDeps) {
    this.#deps = deps
  }

  /** Watchers that have not been given everything that was published. */
  get behind(): number {
    return this.#behind.size
  }

  /** `id` 0 lets the stream choose. The caller announces the watch, then calls `resume`. */
  create(id: number, options: WatchOptions): Watcher | WatchRefusal {
    const { start, end } = options.range
    if (end !== undefined && end.length > 0 && start.compare(end) >= 0) {
      return { refused: 'mvcc: watcher range is empty' }
    }
    if (id !== 0 && this.#subscriptions.has(id)) {
      return { refused: 'mvcc: duplicate watch ID provided on the WatchStream' }
    }
    const store = { revision: this.#deps.revision(), compactRevision: this.#deps.compactRevision() }
    const watcher = new Watcher(id === 0 ? this.#freeId() : id, options, store)
    const subscription = { range: options.range, watcher, stream: this }
    this.#subscriptions.set(watcher.id, subscription)
    this.#deps.subscribe(subscription)
    if (watcher.behindFrom !== undefined) this.#behind.add(watcher)
    return watcher
  }

  /** False if there is no such watch. */
  cancel(id: number): boolean {
    const subscription = this.#subscriptions.get(id)
    if (subscription === undefined) return false
    this.#subscriptions.delete(id)
    this.#behind.delete(subscription.watcher)
    this.#deps.unsubscribe(subscription)
    return true
  }

  /** Events of the watcher that have just been published. */
  deliver(watcher: Watcher, events: readonly ChangeEvent[]): void {
    if (watcher.behindFrom !== undefined) return
    const first = events[0]
    const last = events.at(-1)
    if (first === undefined || last === undefined) return
    if (!this.#deps.sink.writable || events.some((event) => watcher.lacksPrevious(event))) {
      watcher.behindFrom = first.now.modRevision
      this.#behind.add(watcher)
      this.resume()
      return
    }
    watcher.recentlySent = true
    this.#deps.sink.sendEvents(watcher, last.now.modRevision, events)
    this.#deps.onSent(events.length)
  }

  /** Events from revision `from` up to the newest one will not be delivered. */
  skipped(from: Revision): void {
    const revision = this.#deps.revision()
    for (const { watcher } of this.#subscriptions.values()) {
      const next = Math.max(from, watcher.minRevision)
      if (watcher.behindFrom !== undefined || next > revision) continue
      watcher.behindFrom = next
      this.#behind.add(watcher)
    }
    this.resume()
  }

  /** Tells every watcher that what it asked for is gone, so that its client reads everything again. */
  endAll(): void {
    const revision = this.#deps.revision()
    for (const { watcher } of [...this.#subscriptions.values()]) {
      this.cancel(watcher.id)
      this.#deps.sink.sendCompacted(watcher, revision)
    }
  }

  /** The client takes data again, or a watch was created behind: fills up those that are behind. */
  resume(): void {
    if (this.#catchingUp || this.#behind.size === 0) return
    void this.#catchUp()
  }

  /** Answers a WatchProgressRequest, but only if every watch of the stream has been given everything. */
  requestProgress(): void {
    // To a client that does not read nothing is added; it asks again.
    if (this.#subscriptions.size === 0 || this.#behind.size > 0 || !this.#deps.sink.writable) return
    const revision = this.#deps.revision()
    for (const { watcher } of this.#subscriptions.values()) {
      if (watcher.options.startRevision > revision) return
    }
    this.#deps.sink.sendProgress(-1, revision)
  }

  /** Regular progress of the watches that want it. */
  tick(): void {
    const revision = this.#deps.revision()
    for (const { watcher } of this.#subscriptions.values()) {
      const { progressWanted, startRevision } = watcher.options
      if (!progressWanted) continue
      const due = !watcher.recentlySent && watcher.behindFrom === undefined && startRevision <= revision
      watcher.recentlySent = false
      if (due && this.#deps.sink.writable) this.#deps.sink.sendProgress(watcher.id, revision)
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#retryTimer)
    for (const id of [...this.#subscriptions.keys()]) this.cancel(id)
    this.#deps.onClose()
  }

  #freeId(): number {
    while (this.#subscriptions.has(this.#nextId)) this.#nextId += 1
    this.#nextId += 1
    return this.#nextId - 1
  }

  /** One step of one watcher at a time, round robin, as long as the client takes it. */
  async #catchUp(): Promise<void> {
    this.#catchingUp = true
    try {
      for (let [watcher] = this.#behind; watcher !== undefined; [watcher] = this.#behind) {
        if (!this.#deps.sink.writable) return
        this.#behind.delete(watcher)
        this.#behind.add(watcher)
        await this.#step(watcher)
      }
    } catch (error) {
      this.#deps.log.debug('cannot read the log for a watch, will retry', { err: errorMessage(error) })
      this.#retryLater()
    } finally {
      // In the same turn as the last look at `writable`: a drain that comes now finds the way free.
      this.#catchingUp = false
    }
  }

  #retryLater(): void {
    if (this.#closed) return
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined
      this.resume()
    }, RETRY_MS)
  }

  async #step(watcher: Watcher): Promise<void> {
    const from = watcher.behindFrom
    if (from === undefined || this.#endIfCompacted(watcher, from)) return
    const read = readBehind(watcher, from, this.#deps)
    // No await when it came from memory: nothing can be published in between.
    const { events, next } = read instanceof Promise ? await read : read
    if (!this.#behind.has(watcher) || this.#endIfCompacted(watcher, from)) return
    if (events.length > 0) {
      watcher.recentlySent = true
      this.#deps.sink.sendEvents(watcher, next - 1, events)
      this.#deps.onSent(events.length)
    }
    watcher.behindFrom = next
    if (next <= this.#deps.revision()) return
    watcher.behindFrom = undefined
    this.#behind.delete(watcher)
  }

  /** What the watcher needs next may have been deleted. */
  #endIfCompacted(watcher: Watcher, from: Revision): boolean {
    if (from >= this.#deps.compactRevision()) return false
    this.cancel(watcher.id)
    this.#deps.sink.sendCompacted(watcher, this.#deps.compactRevision())
    return true
  }
}
