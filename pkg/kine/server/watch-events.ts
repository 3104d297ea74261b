import type { ChangeEvent, Revision } from '#pkg/kine/backend.ts'
import { MAX_RECEIVE_BYTES } from '#pkg/kine/server/grpc-server.ts'
import type { Watcher } from '#pkg/kine/watch/watcher.ts'
import { varintSize, WireWriter, writeVarint } from '#pkg/kine/wire/writer.ts'

/** WatchResponse.events: field 11, bytes. */
const EVENTS = 0x5a
/** mvccpb.Event: type 1, kv 2, prev_kv 3. */
const EVENT_TYPE_DELETE = Buffer.from([0x08, 0x01])
const EVENT_KV = 0x12
const EVENT_PREV_KV = 0x1a
/** A response is closed behind the revision that exceeds this. */
const RESPONSE_BYTES = 1024 * 1024

/** Events that go into one response. */
export interface EventsPart {
  readonly events: readonly ChangeEvent[]
  /** Revision of the last event. */
  readonly revision: Revision
  /** The other events of the same revision follow: only for watchers that asked for fragments. */
  readonly fragment: boolean
  /** No part follows. */
  readonly last: boolean
}

/** Cuts events into responses: behind whole revisions, or anywhere for a watcher that takes fragments. */
export function splitEvents(watcher: Watcher, events: readonly ChangeEvent[]): EventsPart[] {
  const parts: EventsPart[] = []
  let from = 0
  let bytes = 0
  for (const [i, event] of events.entries()) {
    const before = events[i - 1]
    const size = eventSize(watcher, event)
    const sameRevision = before?.now.modRevision === event.now.modRevision
    const full = sameRevision ? watcher.options.fragment && bytes + size > MAX_RECEIVE_BYTES : bytes > RESPONSE_BYTES
    if (before !== undefined && full) {
      const revision = before.now.modRevision
      parts.push({ events: events.slice(from, i), revision, fragment: sameRevision, last: false })
      from = i
      bytes = 0
    }
    bytes += size
  }
  const revision = events.at(-1)?.now.modRevision ?? 0
  parts.push({ events: events.slice(from), revision, fragment: false, last: true })
  return parts
}

/**
 * Encodes events for all watch streams. Watchers of one key get the same bytes, so they are made once a turn of the
 * event loop, with the previous value and without; keeping them longer would double the memory of the ring.
 */
export class EventEncoder {
  readonly #encoded = new Map<ChangeEvent, { withPrevious?: Buffer; withoutPrevious?: Buffer }>()

  /** Encoded WatchResponse. */
  encode(watcher: Watcher, header: Buffer, { events, fragment }: EventsPart): Buffer {
    const head = new WireWriter(96).message(1, header).int(2, watcher.id).bool(7, fragment).finish()
    const encoded = events.map((event) => this.#encodeEvent(event, previousKv(watcher, event)))
    return Buffer.concat([head, ...encoded])
  }

  #encodeEvent(event: ChangeEvent, previous: Buffer | undefined): Buffer {
    let cached = this.#encoded.get(event)
    if (cached === undefined) {
      if (this.#encoded.size === 0) setImmediate(() => this.#encoded.clear())
      cached = {}
      this.#encoded.set(event, cached)
    }
    if (previous === undefined) return (cached.withoutPrevious ??= build(event, undefined))
    return (cached.withPrevious ??= build(event, previous))
  }
}

function build({ now, kv }: ChangeEvent, previous: Buffer | undefined): Buffer {
  const type = now.version === 0 ? EVENT_TYPE_DELETE : undefined
  const body = (type?.length ?? 0) + fieldSize(kv) + (previous === undefined ? 0 : fieldSize(previous))
  const target = Buffer.allocUnsafeSlow(1 + varintSize(body) + body)
  target[0] = EVENTS
  let at = writeVarint(target, body, 1)
  if (type !== undefined) at += type.copy(target, at)
  at = writeField(target, EVENT_KV, kv, at)
  if (previous !== undefined) writeField(target, EVENT_PREV_KV, previous, at)
  return target
}

function previousKv(watcher: Watcher, event: ChangeEvent): Buffer | undefined {
  return watcher.previousOf(event) === undefined ? undefined : event.previousKv
}

function eventSize(watcher: Watcher, event: ChangeEvent): number {
  return event.kv.length + (previousKv(watcher, event)?.length ?? 0) + 32
}

function fieldSize(bytes: Buffer): number {
  return 1 + varintSize(bytes.length) + bytes.length
}

function writeField(target: Buffer, tag: number, bytes: Buffer, at: number): number {
  target[at] = tag
  const start = writeVarint(target, bytes.length, at + 1)
  bytes.copy(target, start)
  return start + bytes.length
}
