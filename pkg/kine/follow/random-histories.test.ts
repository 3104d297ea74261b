import assert from 'node:assert/strict'
import type { KeyVersion } from '#pkg/kine/backend.ts'
import type { NewRow } from '#pkg/kine/dialect/dialect.ts'
import type { Store } from '#pkg/kine/store.ts'
import type { MemoryDatabase } from '#pkg/kine/testing/memory-database.ts'
import { ResumingSink, World } from '#pkg/kine/testing/random-world.ts'
import { query, settle } from '#pkg/kine/testing/store-requests.ts'

const STORES = 3
const CLIENTS = 3

/** Newest change of the key up to the revision, undefined if it is not there or deleted. */
function stateAt(history: readonly NewRow[], key: string, revision: number): KeyVersion | undefined {
  const row = history.findLast(({ now }) => now.modRevision <= revision && String(now.key) === key)
  return row?.now.version === 0 ? undefined : row?.now
}

/** Every answer is what the log says about the revision that it names. */
function checkAnswers({ operations, unknown, database: { history } }: World): void {
  const written = new Map<string, number>()
  for (const { now, value } of history) {
    if (now.version === 0) continue
    assert.ok(!written.has(String(value)), `${String(value)} was written twice`)
    written.set(String(value), now.modRevision)
  }
  for (const { type, id, key, revision, expected, found } of operations) {
    const what = `${type} ${id} of ${key} at ${revision}`
    if (type === 'written') {
      const row = history.find(({ now }) => now.modRevision === revision && String(now.key) === key)
      assert.ok(row && (row.now.version === 0 || String(row.value) === id), `${what} is not in the log`)
      const before = stateAt(history, key, revision - 1)?.modRevision ?? 0
      if (expected !== undefined) assert.equal(before, expected, `${what}: what it was made on`)
    } else {
      assert.ok(!written.has(id), `${what} has written nevertheless`)
      const state = stateAt(history, key, revision)
      assert.equal(found?.modRevision, state?.modRevision, `${what}: what it has found`)
      if (type === 'refused') assert.notEqual(found?.modRevision ?? 0, expected, `${what}: why`)
    }
  }
  for (const [id] of written) {
    assert.ok(unknown.has(id) || operations.some((operation) => operation.id === id), `${id} came from nowhere`)
  }
}

/** Whoever starts after another one has got its answer sees at least as much: with the above, linearizability. */
function checkRealTime({ operations }: World): void {
  const ends = operations.toSorted((a, b) => a.endedAt - b.endedAt)
  let newest = 0
  let next = 0
  for (const { type, id, revision, startedAt } of operations.toSorted((a, b) => a.startedAt - b.startedAt)) {
    for (let end = ends[next]; end !== undefined && end.endedAt < startedAt; end = ends[next]) {
      newest = Math.max(newest, end.revision)
      next += 1
    }
    assert.ok(type === 'written' ? revision > newest : revision >= newest, `${id} at ${revision} after ${newest}`)
  }
}

/** Each part of a watch is a part of the log without a hole, the last one up to its end. */
function checkWatch({ segments }: ResumingSink, { history, head, compactions }: MemoryDatabase): void {
  const seen = (id: number): string => String(id)
  for (const [i, { from, events }] of segments.entries()) {
    const last = i === segments.length - 1 ? head.revision : (events.at(-1)?.now.modRevision ?? 0)
    const expected = history.filter(({ now }) => now.modRevision >= from && now.modRevision <= last)
    assert.deepEqual(
      events.map(({ now }) => seen(now.id)),
      expected.map(({ now }) => seen(now.id)),
      `part ${i} from ${from} to ${last}`,
    )
    for (const { now, previous } of events) {
      // Of a change at the compact revision itself the value before is gone, in etcd too.
      if (compactions.has(now.modRevision) && previous === undefined) continue
      const before = stateAt(history, String(now.key), now.modRevision - 1)
      assert.equal(
        previous?.modRevision,
        before?.modRevision,
        `previous version of ${String(now.key)}@${now.modRevision}`,
      )
    }
  }
}

async function keysOf(store: Store): Promise<string[]> {
  using result = await store.range(query('\0', ''))
  return result.value.versions.map(({ key, modRevision, version }) => `${String(key)}@${modRevision} v${version}`)
}

describe('random histories of several stores on one database', function () {
  this.timeout(30_000)

  for (let seed = 1; seed <= 12; seed += 1) {
    it(`are linearizable, and watches complete, with lost connections and compactions (seed ${seed})`, async () => {
      const world = new World(seed)
      for (let i = 0; i < STORES; i += 1) await world.openStore()
      const sinks = world.stores.map((store) => new ResumingSink(store, 2))
      const clients = world.stores.flatMap((store, i) =>
        Array.from({ length: CLIENTS }, (_, j) => world.runClient(store, `${i}-${j}`)),
      )
      let over = false
      const running = Promise.all(clients).finally(() => (over = true))
      await Promise.all([running, world.disturb(() => over)])
      const late = await world.openStore()
      const expected = await keysOf(late)
      for (const store of world.stores) assert.deepEqual(await keysOf(store), expected)
      while (sinks.some(({ segments }) => !isComplete(segments, world.database))) await settle()
      checkAnswers(world)
      checkRealTime(world)
      for (const sink of sinks) checkWatch(sink, world.database)
      await Promise.all(world.stores.map((store) => store.close()))
    })
  }
})

function isComplete(segments: ResumingSink['segments'], { head, history }: MemoryDatabase): boolean {
  const { from = 0, events = [] } = segments.at(-1) ?? {}
  return from > (history.at(-1)?.now.modRevision ?? 0) || events.at(-1)?.now.modRevision === head.revision
}
