import assert from 'node:assert/strict'
import type { ChangeEvent, Key, LeaseId, RangeQuery, TxnOp, TxnRequest } from '#pkg/kine/backend.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { StoreErrorKind } from '#pkg/kine/errors.ts'
import type { WatchStream } from '#pkg/kine/watch/stream.ts'
import type { Watcher, WatchOptions, WatchSink } from '#pkg/kine/watch/watcher.ts'
import { valueOf } from '#pkg/kine/wire/key-value.ts'

const b = (text: string): Key => Buffer.from(text)

/** A put as an operation of a transaction. */
export function putOp(key: string, value = key, lease: LeaseId = 0): TxnOp {
  const request = { key: b(key), value: b(value), lease, previousWanted: false, ignoreValue: false, ignoreLease: false }
  return { type: 'put', request }
}

/** A transaction of one put. */
export function put(key: string, value = key, lease: LeaseId = 0): TxnRequest {
  return { compares: [], success: [putOp(key, value, lease)], failure: [] }
}

/** A transaction that deletes one key. */
export function del(key: string): TxnRequest {
  return {
    compares: [],
    success: [{ type: 'delete', request: { range: { start: b(key) }, previousWanted: false } }],
    failure: [],
  }
}

/** Puts the key, or deletes it without a value, if its mod revision is `expected`; else reads it, as the API server does. */
export function swap(key: string, expected: number, value: string | undefined): TxnRequest {
  const [write] = value === undefined ? del(key).success : [putOp(key, value)]
  assert.ok(write)
  return {
    compares: [{ range: { start: b(key) }, result: 'equal', target: 'mod', operand: expected }],
    success: [write],
    failure: [{ type: 'range', query: query(key) }],
  }
}

/** A range request. */
export function query(start: string, end?: string, more: Partial<RangeQuery> = {}): RangeQuery {
  return {
    range: { start: b(start), end: end === undefined ? undefined : b(end) },
    limit: 0,
    revision: 0,
    serializable: false,
    sortOrder: 'none',
    sortTarget: 'key',
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
    ...more,
  }
}

/** A client of a watch that can stop reading; notes what it is sent as lines of text. */
export class Sink implements WatchSink {
  writable = true
  readonly lines: string[] = []

  sendEvents(watcher: Watcher, revision: number, events: readonly ChangeEvent[]): void {
    for (const event of events) {
      const previous = watcher.previousOf(event) && valueOf(event.previousKv ?? b('')).toString()
      const value = event.now.version === 0 ? 'deleted' : valueOf(event.kv).toString()
      this.lines.push(
        `${event.now.modRevision} ${String(event.now.key)}=${value}${previous === undefined ? '' : ` was ${previous}`}`,
      )
      assert.ok(revision >= event.now.modRevision)
    }
  }

  sendCompacted(_: Watcher, compactRevision: number): void {
    this.lines.push(`compacted ${compactRevision}`)
  }

  sendProgress(watchId: number, revision: number): void {
    this.lines.push(`progress ${watchId} ${revision}`)
  }
}

/** Starts a watch with previous values on the stream. */
export function watch(stream: WatchStream, start: string, end: string, more: Partial<WatchOptions> = {}): void {
  const options = {
    range: { start: b(start), end: b(end) },
    startRevision: 0,
    previousWanted: true,
    progressWanted: false,
    fragment: false,
    withoutPuts: false,
    withoutDeletes: false,
    ...more,
  }
  stream.create(0, options)
  stream.resume()
}

/** Lets everything that needs no timer happen. */
export async function settle(turns = 5): Promise<void> {
  for (let i = 0; i < turns; i += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** For assert.rejects. */
export const isKind =
  (kind: StoreErrorKind) =>
  (error: unknown): boolean =>
    error instanceof StoreError && error.kind === kind
