import assert from 'node:assert/strict'
import type { ChangeEvent, KeyVersion, TxnResult } from '#pkg/kine/backend.ts'
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

const OPERATIONS = 40
const KEYS = ['a', 'b', 'c', 'd']
const OPTIONS = { ringBytes: 4000, cacheBytes: 1e5, progressIntervalMs: 60_000, compactionGraceMs: 0 }

/** One call of a client that was answered. */
export interface Operation {
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
export class ResumingSink extends Sink {
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

/** Stores on one database whose connections fail at random, and what their clients were answered. */
export class World {
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
