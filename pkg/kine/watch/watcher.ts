import type { ChangeEvent, KeyRange, Revision } from '#pkg/kine/backend.ts'

/** What a client asked for. */
export interface WatchOptions {
  readonly range: KeyRange
  /** 0: from now on. */
  readonly startRevision: Revision
  readonly previousWanted: boolean
  readonly progressWanted: boolean
  /** Oversized responses are split. */
  readonly fragment: boolean
  readonly withoutPuts: boolean
  readonly withoutDeletes: boolean
}

/** Where the responses of a watch stream go. */
export interface WatchSink {
  /** False while the client does not take what it was sent: watchers then fall behind instead of queueing. */
  readonly writable: boolean
  /** Events of whole revisions, each with its previous value if the watcher wants it. */
  sendEvents(watcher: Watcher, revision: Revision, events: readonly ChangeEvent[]): void
  sendCompacted(watcher: Watcher, compactRevision: Revision): void
  sendProgress(watchId: number, revision: Revision): void
}

/**
 * One watch of one client. It has no queue: `behindFrom` is a cursor into the log, set while the watcher has not been
 * given everything that was published. A reader that sleeps for an hour costs as much as one that does not.
 */
export class Watcher {
  readonly id: number
  readonly options: WatchOptions
  /** Oldest revision that it may be given. */
  readonly minRevision: Revision
  /** Next revision to look at, undefined while the watcher is up to date. */
  behindFrom: Revision | undefined
  /** Events were sent since the last progress tick. */
  recentlySent = false
  readonly #compactedAtStart: Revision

  constructor(
    id: number,
    options: WatchOptions,
    store: { readonly revision: Revision; readonly compactRevision: Revision },
  ) {
    this.id = id
    this.options = options
    const { startRevision } = options
    this.minRevision = startRevision === 0 ? store.revision + 1 : startRevision
    this.behindFrom = this.minRevision <= store.revision ? this.minRevision : undefined
    this.#compactedAtStart = store.compactRevision
  }

  get range(): KeyRange {
    return this.options.range
  }

  /** Whether the event, whose key is in the range, passes start revision and filters. */
  wants({ now }: ChangeEvent): boolean {
    if (now.modRevision < this.minRevision) return false
    return now.version === 0 ? !this.options.withoutDeletes : !this.options.withoutPuts
  }

  /**
   * The version whose value goes with the event: etcd gives the value one revision earlier, which is gone for events at
   * the compact revision itself.
   */
  previousOf(event: ChangeEvent): ChangeEvent['previous'] {
    const { now, previous } = event
    if (!this.options.previousWanted || now.modRevision <= this.#compactedAtStart) return undefined
    return previous
  }

  /** An event whose previous value must still be read. */
  lacksPrevious(event: ChangeEvent): boolean {
    return event.previousKv === undefined && this.previousOf(event) !== undefined
  }
}
