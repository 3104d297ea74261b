import type { KeyVersion, RangeQuery, RangeResult, TxnRequest, TxnResult } from '#pkg/kine/backend.ts'
import type { Applier } from '#pkg/kine/apply.ts'
import type { AppendResult, Dialect } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import type { KeyValues } from '#pkg/kine/read/key-values.ts'
import type { Pins } from '#pkg/kine/read/pins.ts'
import { encodeKeyValue, valueOf } from '#pkg/kine/wire/key-value.ts'
import { Batch } from '#pkg/kine/writer/batch.ts'
import type { PendingChange } from '#pkg/kine/writer/batch.ts'
import { evaluate, valuesNeeded } from '#pkg/kine/writer/evaluate.ts'

/** Most writes of one commit. */
const MAX_BATCH_WRITES = 512
/** Writes that wait for a commit; etcd's limit for requests not yet applied. */
const MAX_QUEUED_WRITES = 5000
/** A batch is closed once its values exceed this. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024

/** What the writer works with. */
export interface WriterDeps {
  readonly dialect: Dialect
  readonly index: KeyIndex
  readonly lessor: Lessor
  readonly applier: Applier
  readonly keyValues: KeyValues
  readonly pins: Pins
  /** Whether some watcher of the key wants the previous value, which is then read within the commit. */
  readonly previousWanted: (version: KeyVersion) => boolean
  /** After each commit. */
  readonly onCommit: (durationMs: number) => void
  /** The writer has broken off; the store must be opened again. */
  readonly onFailure: (error: unknown) => void
}

/** A transaction's result; deferred ranges are filled in by the store, and `pin` is held until it is answered. */
export interface WrittenTxn {
  readonly result: TxnResult
  readonly deferred: readonly DeferredRange[]
  readonly pin: Disposable
}

/** A range inside a transaction at an older revision, or still to be ordered by value. */
export interface DeferredRange {
  readonly query: RangeQuery
  readonly into: { result: RangeResult }
}

interface Write {
  readonly needs?: (batch: Batch) => readonly KeyVersion[]
  /** Runs against the open batch; what it throws becomes the outcome of this write alone. */
  readonly run: (batch: Batch, values: ReadonlyMap<number, Buffer>) => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * The one writer: collects what arrives while a commit runs, resolves all of it in memory against index and batch,
 * commits it as a whole, publishes, answers. A lost compare-and-swap costs no commit; 64 clients share one fsync.
 *
 * INVARIANTS: one batch is open or being committed at a time; outcomes are told only after the commit that they rest
 * on, so that nobody acts on a state that a crash could take back.
 */
export class Writer {
  readonly #deps: WriterDeps
  readonly #queue: Write[] = []
  #running: Promise<void> | undefined
  #stopped = false

  constructor(deps: WriterDeps) {
    this.#deps = deps
  }

  /** @throws StoreError */
  txn(request: TxnRequest): Promise<WrittenTxn> {
    const needs = needsValues(request) ? (batch: Batch) => valuesNeeded(request, batch) : undefined
    return this.#enqueue((batch, values) => this.#runTxn(request, batch, values), needs)
  }

  /** Grants, renews or revokes a lease, or sets the compact revision: `run` changes the batch and returns the outcome. */
  change<T>(run: (batch: Batch) => T): Promise<T> {
    return this.#enqueue(run)
  }

  /** Writes that were taken are committed and answered; later ones get 'stopped'. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  #enqueue<T>(run: (batch: Batch, values: ReadonlyMap<number, Buffer>) => T, needs?: Write['needs']): Promise<T> {
    if (this.#stopped) return Promise.reject(new StoreError('stopped'))
    if (this.#queue.length >= MAX_QUEUED_WRITES) return Promise.reject(new StoreError('overloaded'))
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ run, resolve: resolve as (value: unknown) => void, reject, ...(needs && { needs }) })
      this.#running ??= this.#loop().catch((error: unknown) => this.#fail(error))
    })
  }

  /** A fault of this program: what is in memory may differ from the log, so nothing more is written or answered. */
  #fail(error: unknown): void {
    this.#stopped = true
    for (const { reject } of this.#queue.splice(0)) reject(new StoreError('stopped'))
    this.#deps.onFailure(error)
  }

  #runTxn(request: TxnRequest, batch: Batch, values: ReadonlyMap<number, Buffer>): WrittenTxn {
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
    while (this.#queue.length > 0) await this.#commitNext()
    this.#running = undefined
  }

  async #commitNext(): Promise<void> {
    const { index, lessor, applier } = this.#deps
    const base = { index, lessor, head: applier.head }
    const writes = this.#queue.splice(0, MAX_BATCH_WRITES)
    const values = writes.some(({ needs }) => needs) ? await this.#loadValues(writes, new Batch(base)) : NO_VALUES
    const batch = new Batch(base)
    const outcomes = this.#evaluate(batch, writes, values)
    if (batch.worthCommitting) {
      const failure = await this.#commit(batch)
      if (failure !== undefined) {
        for (const { write, outcome } of outcomes) {
          if (isWritten(outcome)) outcome.pin[Symbol.dispose]()
          write.reject(failure)
        }
        return
      }
    }
    for (const { write, outcome, error } of outcomes) {
      if (error === undefined) write.resolve(outcome)
      else write.reject(error)
    }
  }

  /** What does not fit into the batch goes back to the front of the queue. */
  #evaluate(batch: Batch, writes: readonly Write[], values: ReadonlyMap<number, Buffer>): Outcome[] {
    const outcomes: Outcome[] = []
    for (const write of writes) {
      if (batch.bytes > MAX_BATCH_BYTES) break
      try {
        outcomes.push({ write, outcome: write.run(batch, values), error: undefined })
      } catch (error) {
        outcomes.push({ write, outcome: undefined, error })
      }
    }
    this.#queue.unshift(...writes.slice(outcomes.length))
    return outcomes
  }

  /** @returns why nothing of the batch was committed */
  async #commit(batch: Batch): Promise<unknown> {
    const { dialect, applier, keyValues, previousWanted, onCommit } = this.#deps
    const startedAt = performance.now()
    const own = new Set(batch.changes.map(({ now }) => now.id))
    const known = new Map<number, Buffer>()
    const needsPrevious = ({ now, previous }: PendingChange): boolean => {
      if (previous === undefined || own.has(previous.id) || !previousWanted(now)) return false
      const kv = keyValues.peek(previous)
      if (kv !== undefined) known.set(previous.id, kv)
      return kv === undefined
    }
    let result: AppendResult
    try {
      result = await dialect.append(batch.toAppend(needsPrevious))
    } catch (error) {
      return error
    }
    if (!result.committed) return new StoreError('unavailable')
    const { previousValues } = result
    onCommit(performance.now() - startedAt)
    applier.apply({
      changes: batch.changes,
      leases: batch.leases,
      head: batch.head,
      previousKv: (version) => {
        const value = previousValues.get(version.id)
        return value === undefined ? known.get(version.id) : encodeKeyValue(version, value)
      },
    })
    return undefined
  }

  async #loadValues(writes: readonly Write[], batch: Batch): Promise<ReadonlyMap<number, Buffer>> {
    const versions = writes.flatMap(({ needs }) => needs?.(batch) ?? [])
    try {
      const keyValues = await this.#deps.keyValues.load(versions)
      return new Map(versions.map(({ id }, i) => [id, valueOf(keyValues[i] ?? NO_VALUE)]))
    } catch (error) {
      // Those that need a value fail one by one when they ask for it; the others do not mind.
      if (error instanceof StoreError) return NO_VALUES
      throw error
    }
  }
}

interface Outcome {
  readonly write: Write
  readonly outcome: unknown
  readonly error: unknown
}

const NO_VALUES: ReadonlyMap<number, Buffer> = new Map()
const NO_VALUE: Buffer = Buffer.alloc(0)

function isWritten(outcome: unknown): outcome is WrittenTxn {
  return typeof outcome === 'object' && outcome !== null && 'pin' in outcome
}

function needsValues(request: TxnRequest): boolean {
  if (request.compares.some(({ target }) => target === 'value')) return true
  return [...request.success, ...request.failure].some(
    (op) => (op.type === 'put' && op.request.ignoreValue) || (op.type === 'txn' && needsValues(op.request)),
  )
}

function knownValue(version: KeyVersion, batch: Batch, values: ReadonlyMap<number, Buffer>): Buffer {
  const value = values.get(version.id) ?? batch.changes.find(({ now }) => now.id === version.id)?.value
  if (value === undefined) throw new StoreError('unavailable')
  return value
}
