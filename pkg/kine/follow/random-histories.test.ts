import assert from 'node:assert/strict'
import type { ChangeEvent, KeyVersion, TxnResult } from '#pkg/kine/backend.ts'
import type { NewRow } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { Store } from '#pkg/kine/store.ts'
import { MemoryDatabase } from '#pkg/kine/testing/memory-database.ts'
import { MemoryDialect } from '#pkg/kine/testing/memory-dialect.ts'
import { Random } from '#pkg/kine/testing/random.ts'
import { put, query, settle, Sink, swap, watch } from '#pkg/kine/testing/store-requests.ts'
import type { WatchStream } from '#pkg/kine/watch/stream.ts'
import type { Watcher } from '#pkg/kine/watch/watcher.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const STORES = 3
const CLIENTS = 3
const OPERATIONS = 40
const KEYS = ['a', 'b', 'c', 'd']
const OPTIONS = { ringBytes: 4000, cacheBytes: 1e5, progressIntervalMs: 60_000, compactionGraceMs: 0 }

/** One call of a client that was answered. */
interface Operation {
  readonly id: string
  readonly key: string
  readonly startedAt: number
  readonly endedAt: number
  readonly revision: number
  /** Mod revision that a swap asked for. */
  readonly expected?: number
  /** What the key was found to be; of a write that succeeded undefined. */
  readonly found?: KeyVersion | undefined
  readonly type: 'written' | 'refused' | 'read'
}

/** A client that starts its watch again where a compaction allows it to. */
class ResumingSink extends Sink {
  readonly segments: { readonly from: number; readonly events: ChangeEvent[] }[] = []
  readonly #stream: WatchStream

  constructor(store: Store, from: number) {
    super()
    this.#stream = store.hub.open(this)
    this.#start(from)
  }

  override sendEvents(watcher: Watcher, revision: number, events: readonly ChangeEvent[]): void {
    super.sendEvents(watcher, revision, events)
    this.segments.at(-1)?.events.push(...events)
  }

  override sendCompacted(_: Watcher, compactRevision: number): void {
    this.#start(compactRevision)
  }

  #start(from: number): void {
    this.segments.push({ from, events: [] })
    watch(this.#stream, '\0', '', { startRevision: from })
  }
}

class World {
  readonly database = new MemoryDatabase()
  readonly operations: Operation[] = []
  /** Values whose commit has an unknown outcome. */
  readonly unknown = new Set<string>()
  readonly dialects: MemoryDialect[] = []
  readonly stores: Store[] = []
  readonly #random: Random
  #faulty = true
  #clock = 0

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  async openStore(): Promise<Store> {
    const dialect = new MemoryDialect(this.database)
    const turns = async (): Promise<void> => settle(this.#random.below(4))
    const mayFail = async (oneIn: number): Promise<void> => {
      await turns()
      if (this.#faulty && this.#random.oneIn(oneIn)) throw new StoreError('unavailable')
    }
    const mayTakeLong = async (): Promise<void> => {
      if (this.#random.oneIn(10)) await sleep(60)
      await mayFail(20)
    }
    dialect.beforeAppend = mayTakeLong
    dialect.afterAppend = mayTakeLong
    dialect.beforeRead = () => mayFail(60)
    const onFailure = (error: unknown): void => assert.fail(String(error))
    const store = await Store.open(OPTIONS, { dialect, log: silentLogger, onFailure })
    this.dialects.push(dialect)
    this.stores.push(store)
    return store
  }

  /** A client of one store: everything it does is noted. */
  async runClient(store: Store, name: string): Promise<void> {
    const known = new Map<string, number>()
    for (let i = 0; i < OPERATIONS; i += 1) {
      const key = this.#random.pick(KEYS)
      const id = `${name}-${i}`
      const startedAt = this.#tick()
      try {
        const operation = await this.#operate(store, id, key, known.get(key) ?? 0)
        this.operations.push({ ...operation, id, key, startedAt, endedAt: this.#tick() })
        known.set(key, operation.found?.modRevision ?? (operation.type === 'written' ? operation.revision : 0))
      } catch (error) {
        if (!(error instanceof StoreError) || error.kind !== 'unavailable') throw error
        this.unknown.add(id)
      }
      if (this.#random.oneIn(4)) await settle(this.#random.below(6))
    }
  }

  /** Instances that hear and reach nothing for a while, and compactions, some of them beyond what an instance knows. */
  async disturb(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await settle(this.#random.below(60))
      const dialect = this.#random.pick(this.dialects)
      dialect.away = true
      await settle(this.#random.below(60))
      const other = this.#random.pick(this.stores)
      const revision = other.revision - this.#random.below(10)
      if (this.#random.oneIn(2)) await other.compact(revision).catch(() => undefined)
      await settle(this.#random.below(30))
      dialect.away = false
    }
    this.#faulty = false
  }

  async #operate(
    store: Store,
    id: string,
    key: string,
    modRevision: number,
  ): Promise<Pick<Operation, 'type' | 'revision' | 'expected' | 'found'>> {
    const dice = this.#random.below(10)
    if (dice < 3) {
      using result = await store.range(query(key))
      return { type: 'read', revision: result.value.revision, found: result.value.versions[0] }
    }
    const blind = dice === 3
    using result = await store.txn(blind ? put(key, id) : swap(key, modRevision, dice === 4 ? undefined : id))
    const { revision, succeeded } = result.value
    if (blind) return { type: 'written', revision }
    if (succeeded && dice === 4 && modRevision === 0) return { type: 'read', revision, found: undefined }
    if (succeeded) return { type: 'written', revision, expected: modRevision }
    return { type: 'refused', revision, expected: modRevision, found: foundIn(result.value) }
  }

  #tick(): number {
    this.#clock += 1
    return this.#clock
  }
}

function foundIn({ responses: [response] }: TxnResult): KeyVersion | undefined {
  return response?.type === 'range' ? response.result.versions[0] : undefined
}

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
