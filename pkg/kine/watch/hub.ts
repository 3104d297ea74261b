import type { ChangeEvent, KeyVersion, Revision } from '#pkg/kine/backend.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import type { KeyValues } from '#pkg/kine/read/key-values.ts'
import type { Ring } from '#pkg/kine/ring/ring.ts'
import { Router } from '#pkg/kine/watch/router.ts'
import type { WatchSink } from '#pkg/kine/watch/watcher.ts'
import { WatchStream } from '#pkg/kine/watch/stream.ts'
import type { StreamSubscription } from '#pkg/kine/watch/stream.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** How often watches that asked for it are told the revision, unless they got events meanwhile. */
export interface WatchHubOptions {
  readonly progressIntervalMs: number
}

/** What WatchHub works with. */
export interface WatchHubDeps {
  readonly ring: Ring
  readonly keyValues: KeyValues
  readonly dialect: Pick<Dialect, 'readLog'>
  readonly revision: () => Revision
  readonly compactRevision: () => Revision
  readonly log: Logger
}

/** All watch streams: hands published events to the watchers of their keys, and only to them. */
export class WatchHub {
  readonly #deps: WatchHubDeps
  readonly #router = new Router<StreamSubscription>()
  readonly #streams = new Set<WatchStream>()
  readonly #progressTimer: NodeJS.Timeout
  #watchers = 0
  #eventsSent = 0

  constructor(options: WatchHubOptions, deps: WatchHubDeps) {
    this.#deps = deps
    this.#progressTimer = setInterval(() => this.#tick(), options.progressIntervalMs)
  }

  get watchers(): number {
    return this.#watchers
  }

  get streams(): number {
    return this.#streams.size
  }

  /** Watchers that have not been given everything that was published. */
  get slowWatchers(): number {
    let count = 0
    for (const { behind } of this.#streams) count += behind
    return count
  }

  /** Since the start, to all watchers. */
  get eventsSent(): number {
    return this.#eventsSent
  }

  /** A stream for one client; the caller closes it. */
  open(sink: WatchSink): WatchStream {
    const stream = new WatchStream({
      sink,
      ...this.#deps,
      subscribe: (subscription) => {
        this.#router.add(subscription)
        this.#watchers += 1
      },
      unsubscribe: (subscription) => {
        this.#router.delete(subscription)
        this.#watchers -= 1
      },
      onClose: () => this.#streams.delete(stream),
      onSent: (events) => {
        this.#eventsSent += events
      },
    })
    this.#streams.add(stream)
    return stream
  }

  /** Events of whole revisions that have just become visible. Called by apply.ts only. */
  publish(events: readonly ChangeEvent[]): void {
    const wanted = new Map<StreamSubscription, ChangeEvent[]>()
    for (const event of events) {
      this.#router.match(event.now.key, (subscription) => {
        if (!subscription.watcher.wants(event)) return true
        const list = wanted.get(subscription)
        if (list === undefined) wanted.set(subscription, [event])
        else list.push(event)
        return true
      })
    }
    for (const [{ watcher, stream }, list] of wanted) stream.deliver(watcher, list)
  }

  /** Whether somebody who watches the key wants previous values. */
  previousWanted(version: KeyVersion): boolean {
    let wanted = false
    this.#router.match(version.key, ({ watcher }) => {
      wanted = watcher.options.previousWanted
      return !wanted
    })
    return wanted
  }

  /** The events from revision `from` up to the newest one will not be published: those who want them must read them. */
  skipped(from: Revision): void {
    for (const stream of this.#streams) stream.skipped(from)
  }

  /** The history that was published is not that of the database any more: every watch ends, as after a compaction. */
  endAll(): void {
    for (const stream of this.#streams) stream.endAll()
  }

  close(): void {
    clearInterval(this.#progressTimer)
    for (const stream of this.#streams) stream.close()
  }

  #tick(): void {
    for (const stream of this.#streams) stream.tick()
  }
}
