import assert from 'node:assert/strict'
import type { EventMessage, KeyValueMessage, Message } from '#pkg/kine/testing/etcd-messages.ts'

/** What a recorder expects. */
export interface RecorderOptions {
  /** First revision of the history that it will see: the keys must not exist before it. */
  readonly from: number
  /**
   * A header must not be ahead of an event that was not sent. Ours keeps to it; etcd does not for a watcher that
   * catches up, and clients resume behind the last event then.
   */
  readonly strictHeaders: boolean
}

/**
 * Follows one watch with previous values over all its streams as etcd's own client does, and holds every message to what a
 * watch promises: nothing lost, doubled or reordered, revisions never split, previous values always there.
 */
export class WatchRecorder {
  readonly events: EventMessage[] = []
  readonly #strictHeaders: boolean
  readonly #latest = new Map<string, KeyValueMessage>()
  #next: number

  constructor({ from, strictHeaders }: RecorderOptions) {
    this.#next = from
    this.#strictHeaders = strictHeaders
  }

  /** Where a new stream must start; everything below has been seen. */
  get next(): number {
    return this.#next
  }

  /** The live keys, by the events. */
  get state(): ReadonlyMap<string, KeyValueMessage> {
    return this.#latest
  }

  take(message: Message): void {
    const { events, header, canceled, created } = message
    assert.ok(!canceled, `canceled at ${this.#next}, compacted at ${message.compact_revision}`)
    if (created) return
    for (const event of events) this.#takeEvent(event)
    const last = events.at(-1)?.kv.mod_revision ?? 0
    assert.ok(header.revision >= last, `header ${header.revision} is behind event ${last}`)
    const seen = last > 0 && !this.#strictHeaders ? last : header.revision
    this.#next = Math.max(this.#next, seen + 1)
  }

  #takeEvent(event: EventMessage): void {
    const { kv, prev_kv: previous, type } = event
    const name = kv.key.toString('latin1')
    const what = `${type} of ${name} at ${kv.mod_revision}`
    assert.ok(kv.mod_revision >= this.#next, `${what}: everything below ${this.#next} was said to have been sent`)
    const before = this.events.at(-1)?.kv.mod_revision ?? 0
    assert.ok(kv.mod_revision >= before, `${what} came behind ${before}`)
    const known = this.#latest.get(name)
    assert.deepEqual(previous ?? undefined, known, `${what}: previous value`)
    if (type === 'Delete') {
      assert.ok(known !== undefined, `${what}: it did not exist`)
      this.#latest.delete(name)
    } else {
      assert.equal(kv.version, (known?.version ?? 0) + 1, `${what}: version`)
      assert.equal(kv.create_revision, known?.create_revision ?? kv.mod_revision, `${what}: create revision`)
      this.#latest.set(name, kv)
    }
    this.events.push(event)
  }
}
