import type { ChangeEvent, Revision, RowId } from '#pkg/kine/backend.ts'

/** Size of the ring. */
export interface RingOptions {
  /** Encoded bytes that are kept, counting a previous version that is not itself in the ring. */
  readonly maxBytes: number
}

/** Weight of an event besides its bytes: objects, buffers and the slot. */
const EVENT_OVERHEAD_BYTES = 800

/**
 * The newest changes of the log in revision order, bounded in bytes: serves watches that start or go on a little in the
 * past, previous values and hot reads. Below `firstRevision` the log in the database is the only source.
 *
 * INVARIANTS: whole revisions only; every revision from `firstRevision` to the newest published one is there.
 */
export class Ring {
  readonly #maxBytes: number
  /** Events by position; those below `#head` are gone. The array is compacted now and then. */
  #events: (ChangeEvent | undefined)[] = []
  #head = 0
  #bytes = 0
  #firstRevision: Revision

  /** `nextRevision` is the first one that will be appended. */
  constructor(options: RingOptions, nextRevision: Revision) {
    this.#maxBytes = options.maxBytes
    this.#firstRevision = nextRevision
  }

  /** Oldest revision that is complete here; one above the newest when the ring is empty. */
  get firstRevision(): Revision {
    return this.#firstRevision
  }

  get bytes(): number {
    return this.#bytes
  }

  get length(): number {
    return this.#events.length - this.#head
  }

  /** Takes the place of what is here with what `other` holds, which must not be used afterwards. */
  adopt(other: Ring): void {
    this.#events = other.#events
    this.#head = other.#head
    this.#bytes = other.#bytes
    this.#firstRevision = other.#firstRevision
  }

  /** Appends the events of whole revisions, in order, and drops the oldest ones above the size limit. */
  append(events: readonly ChangeEvent[]): void {
    for (const event of events) {
      this.#events.push(event)
      this.#bytes += weight(event)
    }
    const newest = events.at(-1)?.now.modRevision
    if (newest === undefined) return
    while (this.#bytes > this.#maxBytes && this.length > 0) this.#dropRevision(newest)
    if (this.#head > 1024 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head)
      this.#head = 0
    }
  }

  /** The change with this row id. */
  get(id: RowId): ChangeEvent | undefined {
    const event = this.#events[this.#positionOf((candidate) => candidate.now.id >= id)]
    return event?.now.id === id ? event : undefined
  }

  /** Calls `visit` for events from revision `from` on, in order, until it returns false. */
  scan(from: Revision, visit: (event: ChangeEvent) => boolean): void {
    for (let i = this.#positionOf((event) => event.now.modRevision >= from); i < this.#events.length; i += 1) {
      const event = this.#events[i]
      if (event === undefined || !visit(event)) return
    }
  }

  #dropRevision(newest: Revision): void {
    const revision = this.#events[this.#head]?.now.modRevision
    while (this.#head < this.#events.length) {
      const event = this.#events[this.#head]
      if (event === undefined || event.now.modRevision !== revision) break
      this.#events[this.#head] = undefined
      this.#head += 1
      this.#bytes -= weight(event)
    }
    this.#firstRevision = this.#events[this.#head]?.now.modRevision ?? newest + 1
  }

  /** First position whose event satisfies `reached`, which must be monotone. */
  #positionOf(reached: (event: ChangeEvent) => boolean): number {
    let low = this.#head
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const event = this.#events[middle]
      if (event === undefined || reached(event)) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** Must not change while the event is in the ring: previousKv may be filled in later, so its size is taken as known. */
function weight({ kv, previous }: ChangeEvent): number {
  return EVENT_OVERHEAD_BYTES + kv.length + (previous?.valueSize ?? 0)
}
