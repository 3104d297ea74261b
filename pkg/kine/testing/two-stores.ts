import assert from 'node:assert/strict'
import type { RangeQuery, TxnRequest, TxnResult } from '#pkg/kine/backend.ts'
import { Store } from '#pkg/kine/store.ts'
import type { StoreOptions } from '#pkg/kine/store-options.ts'
import { MemoryDatabase } from '#pkg/kine/testing/memory-database.ts'
import { MemoryDialect } from '#pkg/kine/testing/memory-dialect.ts'
import { query } from '#pkg/kine/testing/store-requests.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const OPTIONS = { ringBytes: 1e6, cacheBytes: 1e5, progressIntervalMs: 60_000, compactionGraceMs: 0 }

/** Two stores on one database in memory, new ones for each test; a test may put others in their place. */
export class TwoStores {
  database!: MemoryDatabase
  dialectA!: MemoryDialect
  dialectB!: MemoryDialect
  a!: Store
  b!: Store

  /** To be called within `describe`. */
  static forEach(): TwoStores {
    const two = new TwoStores()
    beforeEach(async () => {
      two.database = new MemoryDatabase()
      two.dialectA = new MemoryDialect(two.database)
      two.dialectB = new MemoryDialect(two.database)
      two.a = await two.open(two.dialectA)
      two.b = await two.open(two.dialectB)
    })
    afterEach(async () => {
      two.dialectA.away = two.dialectB.away = false
      await Promise.all([two.a.close(), two.b.close()])
    })
    return two
  }

  /** A store that the test closes. */
  open(
    dialect: MemoryDialect,
    options: Partial<StoreOptions> & { readonly signal?: AbortSignal } = {},
  ): Promise<Store> {
    const { signal, ...rest } = options
    const onFailure = (error: unknown): void => assert.fail(String(error))
    return Store.open({ ...OPTIONS, ...rest }, { dialect, log: silentLogger, onFailure, ...(signal && { signal }) })
  }
}

/** One transaction whose result is let go at once. */
export async function write(store: Store, request: TxnRequest): Promise<TxnResult> {
  using result = await store.txn(request)
  return result.value
}

/** `key@revision` of everything in the range. */
export async function read(store: Store, range: RangeQuery = query('\0', '')): Promise<string[]> {
  using result = await store.range(range)
  const { versions } = result.value
  await store.loadKeyValues(versions)
  return versions.map(({ key, modRevision }) => `${String(key)}@${modRevision}`)
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}
