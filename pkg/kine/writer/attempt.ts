import type { KeyVersion, RangeQuery, RangeResult, RowId, TxnResult } from '#pkg/kine/backend.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { KeyValues } from '#pkg/kine/read/key-values.ts'
import { valueOf } from '#pkg/kine/wire/key-value.ts'
import { Batch } from '#pkg/kine/writer/batch.ts'
import type { BatchBase } from '#pkg/kine/writer/batch.ts'

/** A batch is closed once its values exceed this. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024

const NO_VALUES: ReadonlyMap<RowId, Buffer> = new Map()
const NO_VALUE: Buffer = Buffer.alloc(0)

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

/** A write that waits for its commit. */
export interface Write {
  /** Versions whose values `run` may ask for. */
  readonly needs?: (batch: Batch) => readonly KeyVersion[]
  /**
   * Runs against the open batch; what it throws becomes the outcome of this write alone. Runs again, on another batch,
   * when the first one could not be committed.
   */
  readonly run: (batch: Batch, values: ReadonlyMap<RowId, Buffer>) => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

interface Outcome {
  readonly write: Write
  readonly value: unknown
  readonly error: unknown
}

/** Writes evaluated on one state: the batch that they make of it and what each is to be told if that is committed. */
export class Attempt {
  readonly batch: Batch
  readonly #outcomes: readonly Outcome[]

  /** Evaluates as many of `writes`, in order, as one batch takes. */
  static async make(writes: readonly Write[], base: BatchBase, keyValues: KeyValues): Promise<Attempt> {
    const values = writes.some(({ needs }) => needs) ? await loadValues(writes, new Batch(base), keyValues) : NO_VALUES
    return new Attempt(writes, new Batch(base), values)
  }

  private constructor(writes: readonly Write[], batch: Batch, values: ReadonlyMap<RowId, Buffer>) {
    this.batch = batch
    const outcomes: Outcome[] = []
    for (const write of writes) {
      if (batch.bytes > MAX_BATCH_BYTES) break
      try {
        outcomes.push({ write, value: write.run(batch, values), error: undefined })
      } catch (error) {
        outcomes.push({ write, value: undefined, error })
      }
    }
    this.#outcomes = outcomes
  }

  /** How many of the writes it holds. */
  get size(): number {
    return this.#outcomes.length
  }

  /** Tells every write its outcome. */
  answer(): void {
    for (const { write, value, error } of this.#outcomes) {
      if (error === undefined) write.resolve(value)
      else write.reject(error)
    }
  }

  /** Nothing of it was committed, and nobody is told what was evaluated. */
  discard(): void {
    for (const { value } of this.#outcomes) if (isWritten(value)) value.pin[Symbol.dispose]()
  }
}

function isWritten(value: unknown): value is WrittenTxn {
  return typeof value === 'object' && value !== null && 'pin' in value
}

async function loadValues(
  writes: readonly Write[],
  batch: Batch,
  keyValues: KeyValues,
): Promise<ReadonlyMap<RowId, Buffer>> {
  const versions = writes.flatMap(({ needs }) => needs?.(batch) ?? [])
  try {
    const found = await keyValues.load(versions)
    return new Map(versions.map(({ id }, i) => [id, valueOf(found[i] ?? NO_VALUE)]))
  } catch (error) {
    // Those that need a value fail one by one when they ask for it; the others do not mind.
    if (error instanceof StoreError) return NO_VALUES
    throw error
  }
}
