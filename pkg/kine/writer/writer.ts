import type { Alarms } from '#pkg/kine/alarm/alarms.ts'
import type { KeyVersion, RowId, TxnRequest } from '#pkg/kine/backend.ts'
import type { Applier } from '#pkg/kine/apply.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { Follower } from '#pkg/kine/follow/follower.ts'
import { sameHead } from '#pkg/kine/dialect/heads.ts'
import type { Serial } from '#pkg/kine/follow/serial.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import type { KeyValues } from '#pkg/kine/read/key-values.ts'
import type { Pins } from '#pkg/kine/read/pins.ts'
import { encodeKeyValue } from '#pkg/kine/wire/key-value.ts'
import { Attempt } from '#pkg/kine/writer/attempt.ts'
import type { DeferredRange, Write, WrittenTxn } from '#pkg/kine/writer/attempt.ts'
import type { Batch, PendingChange } from '#pkg/kine/writer/batch.ts'
import { evaluate, valuesNeeded } from '#pkg/kine/writer/evaluate.ts'
import { SharedCommits } from '#pkg/kine/writer/shared-commits.ts'

/** Most writes of one commit. */
const MAX_BATCH_WRITES = 512
/** Writes that wait for a commit; etcd's limit for requests not yet applied. */
const MAX_QUEUED_WRITES = 5000

/** What the writer works with. */
export interface WriterDeps {
  readonly dialect: Dialect
  readonly index: KeyIndex
  readonly lessor: Lessor
  readonly alarms: Alarms
  readonly applier: Applier
  readonly keyValues: KeyValues
  readonly pins: Pins
  /** What else changes memory runs in it too. */
  readonly serial: Serial
  /** Of a shared database only. */
  readonly follower: Follower | undefined
  /** Whether some watcher of the key wants the previous value, which is then read within the commit. */
  readonly previousWanted: (version: KeyVersion) => boolean
  /** After each commit. */
  readonly onCommit: (durationMs: number) => void
  /** The writer has broken off; the store must be opened again. Never of a shared database. */
  readonly onFailure: (error: unknown) => void
}

/**
 * The one writer of this instance: collects what arrives while a commit runs, resolves all of it in memory against
 * index and batch, commits it as a whole, publishes, answers. A lost compare-and-swap costs no commit; 64 clients share
 * one fsync.
 *
 * INVARIANTS: one batch is open or being committed at a time; outcomes are told only after the commit that they rest
 * on, so that nobody acts on a state that a crash could take back.
 */
export class Writer {
  readonly #deps: WriterDeps
  readonly #shared: SharedCommits | undefined
  readonly #queue: Write[] = []
  #running: Promise<void> | undefined
  #stopped = false

  constructor(deps: WriterDeps) {
    this.#deps = deps
    const { follower, applier } = deps
    const { shared } = deps.dialect
    if (shared === undefined || follower === undefined) return
    this.#shared = new SharedCommits({
      shared,
      applier,
      follower,
      evaluate: (writes) => this.#evaluate(writes),
      commit: ({ batch }) => this.#commit(batch),
    })
  }

  /** @throws StoreError */
  txn(request: TxnRequest): Promise<WrittenTxn> {
    const needs = needsValues(request) ? (batch: Batch) => valuesNeeded(request, batch) : undefined
    return this.#enqueue((batch, values) => this.#runTxn(request, batch, values), needs)
  }

  /**
   * Grants, renews or revokes a lease, raises or disarms an alarm, or sets the compact revision: `run` changes the batch and returns the outcome.
   * It may be run again on another batch.
   */
  change<T>(run: (batch: Batch) => T): Promise<T> {
    return this.#enqueue(run)
  }

  /** Writes that were taken are committed and answered; later ones get 'stopped'. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  #enqueue<T>(run: (batch: Batch, values: ReadonlyMap<RowId, Buffer>) => T, needs?: Write['needs']): Promise<T> {
    if (this.#stopped) return Promise.reject(new StoreError('stopped'))
    if (this.#queue.length >= MAX_QUEUED_WRITES) return Promise.reject(new StoreError('overloaded'))
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ run, resolve: resolve as (value: unknown) => void, reject, ...(needs && { needs }) })
      this.#running ??= this.#loop()
    })
  }

  #runTxn(request: TxnRequest, batch: Batch, values: ReadonlyMap<RowId, Buffer>): WrittenTxn {
    const deferred: DeferredRange[] = []
    const result = evaluate(request, {
      batch,
      compactRevision: batch.compactRevision,
      valueOf: (version) => knownValue(version, batch, values),
      defer: (query, into) => deferred.push({ query, into }),
    })
    // The versions named in the result are those of now or of just before this batch.
    const asked = deferred.map(({ query }) => query.revision).filter((revision) => revision > 0)
    const oldest = Math.min(this.#deps.applier.revision, ...asked)
    return { result, deferred, pin: this.#deps.pins.hold(oldest) }
  }

  async #loop(): Promise<void> {
    // Lets every request of this turn of the event loop into the first batch.
    await Promise.resolve()
    while (this.#queue.length > 0) await this.#deps.serial.run(() => this.#commitNext())
    // In the same turn as the last look at the queue: a write that comes now starts the next loop.
    this.#running = undefined
  }

  async #commitNext(): Promise<void> {
    const writes = this.#queue.splice(0, MAX_BATCH_WRITES)
    try {
      const attempt = await (this.#shared?.settle(writes) ?? this.#settle(writes))
      // What did not fit into the batch goes back to the front of the queue.
      this.#queue.unshift(...writes.slice(attempt.size))
      attempt.answer()
    } catch (error) {
      this.#refuse(writes, error)
    }
  }

  /** Commits what the writes change, of a database that nobody else writes to. @throws StoreError */
  async #settle(writes: readonly Write[]): Promise<Attempt> {
    const attempt = await this.#evaluate(writes)
    if (!attempt.batch.worthCommitting) return attempt
    try {
      if (!(await this.#commit(attempt.batch))) throw new Error('the database has another writer')
    } catch (error) {
      attempt.discard()
      throw error
    }
    return attempt
  }

  #refuse(writes: readonly Write[], error: unknown): void {
    if (!(error instanceof StoreError)) this.#onFault(error)
    const reason = error instanceof StoreError ? error : new StoreError(this.#stopped ? 'stopped' : 'unavailable')
    for (const { reject } of writes) reject(reason)
    // The database is away: whoever waits behind these would only find that out one timeout later.
    const all = this.#stopped || (this.#shared !== undefined && reason.kind === 'unavailable')
    if (all) for (const { reject } of this.#queue.splice(0)) reject(reason)
  }

  /** A fault of this program: what is in memory may differ from the log. */
  #onFault(error: unknown): void {
    if (this.#deps.follower !== undefined) {
      this.#deps.follower.distrust(error)
      return
    }
    this.#stopped = true
    this.#deps.onFailure(error)
  }

  #evaluate(writes: readonly Write[]): Promise<Attempt> {
    const { index, lessor, alarms, applier, keyValues } = this.#deps
    return Attempt.make(writes, { index, lessor, alarms, head: applier.head }, keyValues)
  }

  /** @returns false if the database has another head. @throws StoreError when the outcome is not known */
  async #commit(batch: Batch): Promise<boolean> {
    const { dialect, applier, follower, keyValues, previousWanted, onCommit } = this.#deps
    const startedAt = performance.now()
    const own = new Set(batch.changes.map(({ now }) => now.id))
    const known = new Map<RowId, Buffer>()
    const needsPrevious = ({ now, previous }: PendingChange): boolean => {
      if (previous === undefined || own.has(previous.id) || !previousWanted(now)) return false
      const kv = keyValues.peek(previous)
      if (kv !== undefined) known.set(previous.id, kv)
      return kv === undefined
    }
    const append = batch.toAppend(needsPrevious)
    const appending = dialect.append(append)
    const result = await (follower?.during(appending, append.next.revision) ?? appending)
    if (!result.committed) return false
    onCommit(performance.now() - startedAt)
    if (follower !== undefined && !sameHead(applier.head, append.after)) {
      await follower.reach(append.next)
      return true
    }
    applier.apply({
      changes: batch.changes,
      leases: batch.leases,
      alarms: batch.alarms,
      head: batch.head,
      previousKv: (version) => {
        const value = result.previousValues.get(version.id)
        return value === undefined ? known.get(version.id) : encodeKeyValue(version, value)
      },
    })
    return true
  }
}

function needsValues(request: TxnRequest): boolean {
  if (request.compares.some(({ target }) => target === 'value')) return true
  return [...request.success, ...request.failure].some(
    (op) => (op.type === 'put' && op.request.ignoreValue) || (op.type === 'txn' && needsValues(op.request)),
  )
}

function knownValue(version: KeyVersion, batch: Batch, values: ReadonlyMap<RowId, Buffer>): Buffer {
  const value = values.get(version.id) ?? batch.changes.find(({ now }) => now.id === version.id)?.value
  if (value === undefined) throw new StoreError('unavailable')
  return value
}
