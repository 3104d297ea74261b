import type { Applier } from '#pkg/kine/apply.ts'
import type { KeyVersion, KvHash, Pinned, RangeQuery, RangeResult, Revision, TxnResult } from '#pkg/kine/backend.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import { everythingAt, hashHistory } from '#pkg/kine/read/hash.ts'
import type { KeyValues } from '#pkg/kine/read/key-values.ts'
import type { Pins } from '#pkg/kine/read/pins.ts'
import { rangeAt, rangeNow, sortByValue } from '#pkg/kine/read/range.ts'
import type { WrittenTxn } from '#pkg/kine/writer/attempt.ts'

/** What Reads works with. */
export interface ReadsDeps {
  readonly dialect: Dialect
  readonly index: KeyIndex
  readonly applier: Applier
  readonly keyValues: KeyValues
  readonly pins: Pins
  /** Makes memory as new as the database was at some moment after the call. */
  readonly linearize: () => Promise<void>
}

/**
 * What is read of a store: from the index if it is of now, with the help of the database if it is of an older revision.
 * Rows that a result names are left alone by compaction until the result is disposed of.
 */
export class Reads {
  readonly #deps: ReadsDeps

  constructor(deps: ReadsDeps) {
    this.#deps = deps
  }

  /** @throws StoreError */
  async range(query: RangeQuery): Promise<Pinned<RangeResult>> {
    const { applier, pins, linearize } = this.#deps
    if (!query.serializable) await linearize()
    const { revision } = applier
    this.#assertReadable(query.revision)
    const pin = pins.hold(query.revision > 0 ? query.revision : revision)
    return await pinned(pin, () => this.#execute(query, revision))
  }

  /** The result of a transaction, with what the index could not tell within the commit. @throws StoreError */
  async complete({ result, deferred, pin }: WrittenTxn): Promise<Pinned<TxnResult>> {
    return await pinned(pin, async () => {
      for (const { query, into } of deferred) {
        const { revision } = into.result
        if (query.revision > 0 && query.revision < revision) into.result = await this.#execute(query, revision)
        else into.result = await this.#ordered(into.result, query)
      }
      return result
    })
  }

  /** See Backend.hashKv. @throws StoreError */
  async hashKv(asked: Revision): Promise<KvHash> {
    const { dialect, applier, keyValues, pins, linearize } = this.#deps
    await linearize()
    const { revision, compactRevision } = applier
    this.#assertReadable(asked)
    const hashRevision = asked === 0 ? revision : asked
    const pin = pins.hold(compactRevision)
    try {
      const base = compactRevision > 0 ? (await this.#execute(everythingAt(compactRevision), revision)).versions : []
      const changes = { from: compactRevision + 1, through: hashRevision }
      const deps = { dialect, load: (versions: readonly KeyVersion[]) => keyValues.load(versions) }
      return { hash: await hashHistory(base, changes, deps), revision, compactRevision, hashRevision }
    } finally {
      pin[Symbol.dispose]()
    }
  }

  #assertReadable(asked: Revision): void {
    const { revision, compactRevision } = this.#deps.applier
    if (asked > revision) throw new StoreError('future-revision')
    if (asked > 0 && asked < compactRevision) throw new StoreError('compacted')
  }

  async #execute(query: RangeQuery, revision: Revision): Promise<RangeResult> {
    const { dialect, index, applier } = this.#deps
    const historical = query.revision > 0 && query.revision < applier.revision
    const result = historical
      ? await rangeAt(index.at(query.range, query.revision), query, revision, dialect)
      : rangeNow(index, query, revision)
    return query.sortTarget === 'value' ? this.#ordered(result, query) : result
  }

  async #ordered(result: RangeResult, query: RangeQuery): Promise<RangeResult> {
    return sortByValue(result, query, await this.#deps.keyValues.load(result.versions)).result
  }
}

/** Lets the pin go if there is no result. */
async function pinned<T>(pin: Disposable, read: () => Promise<T>): Promise<Pinned<T>> {
  try {
    return { value: await read(), [Symbol.dispose]: () => pin[Symbol.dispose]() }
  } catch (error) {
    pin[Symbol.dispose]()
    throw error
  }
}
