import assert from 'node:assert/strict'
import type { EventMessage, KeyValueMessage } from '#pkg/kine/testing/etcd-messages.ts'
import type { WatchRecorder } from '#pkg/kine/testing/watch-recorder.ts'

/** One write of a value that no other write has. */
export interface Write {
  readonly value: string
  /** By performance.now(). */
  readonly askedAt: number
  readonly answeredAt: number
  /** `refused`: its condition did not hold. `unknown`: the answer was an error, or none came. */
  readonly outcome: 'acknowledged' | 'refused' | 'unknown'
  /** Of an acknowledged one. */
  readonly revision: number
  /** gRPC code and text. */
  readonly error: string | undefined
}

/** What clients were told and what they saw. */
export interface History {
  /** First and last revision; between them nobody else wrote. */
  readonly from: number
  readonly to: number
  /** They have held every message to what a watch promises already. */
  readonly recorders: readonly WatchRecorder[]
  readonly writes: readonly Write[]
  /** What is stored at the end. */
  readonly kvs: readonly KeyValueMessage[]
}

/** Nothing acknowledged is lost, nothing refused is there, no event is lost, doubled or invented. */
export function checkHistory({ from, to, recorders, writes, kvs }: History): void {
  const [first, ...others] = recorders
  assert.ok(first !== undefined)
  for (const other of others) assert.deepEqual(other.events, first.events, 'all watchers have seen the same')
  const revisions = [...new Set(first.events.map(({ kv }) => kv.mod_revision))]
  const expected = Array.from({ length: to - from + 1 }, (_, i) => from + i)
  assert.deepEqual(revisions, expected, 'every revision from the first to the last, in order')
  checkWrites(first.events, writes)
  const seen = [...first.state.values()].sort((a, b) => a.key.compare(b.key))
  assert.deepEqual(seen, kvs, 'what is stored is what was watched')
}

/** Holds events to what writers were told. */
function checkWrites(events: readonly EventMessage[], writes: readonly Write[]): void {
  const revisions = revisionsByValue(events)
  const asked = new Set(writes.map(({ value }) => value))
  for (const value of revisions.keys()) assert.ok(asked.has(value), `nobody has written ${value}`)
  checkAcknowledged(revisions, writes)
  for (const { value, outcome } of writes) {
    if (outcome === 'refused') assert.equal(revisions.get(value), undefined, `${value} was refused`)
  }
}

/** Holds what a store tells of its history to what was acknowledged up to some time; later writes may be in it, too. */
export function checkSurvival(events: readonly EventMessage[], writes: readonly Write[]): void {
  checkAcknowledged(revisionsByValue(events), writes)
  const revisions = [...new Set(events.map(({ kv }) => kv.mod_revision))]
  const expected = revisions.map((_, i) => (revisions[0] ?? 0) + i)
  assert.deepEqual(revisions, expected, 'every revision, in order')
}

function checkAcknowledged(revisions: ReadonlyMap<string, number>, writes: readonly Write[]): void {
  for (const { value, outcome, revision } of writes) {
    if (outcome === 'acknowledged') assert.equal(revisions.get(value), revision, `${value} was acknowledged`)
  }
}

function revisionsByValue(events: readonly EventMessage[]): ReadonlyMap<string, number> {
  const revisions = new Map<string, number>()
  for (const { type, kv } of events) {
    if (type === 'Delete') continue
    const value = kv.value.toString()
    const known = revisions.get(value)
    // One transaction may put the same value twice, never two of them.
    assert.ok(known === undefined || known === kv.mod_revision, `${value} was written twice`)
    revisions.set(value, kv.mod_revision)
  }
  return revisions
}
