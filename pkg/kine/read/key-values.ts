import type { KeyVersion, RowId } from '#pkg/kine/backend.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { Ring } from '#pkg/kine/ring/ring.ts'
import { encodeKeyValue } from '#pkg/kine/wire/key-value.ts'

/** Bounds of the small cache of single values. */
export interface KeyValuesOptions {
  readonly maxCacheBytes: number
}

/** What KeyValues reads from. */
export interface KeyValuesDeps {
  readonly ring: Ring
  readonly dialect: Pick<Dialect, 'readValues'>
}

/** Requests for more versions than this pass by the cache: a list must not wash out the hot keys. */
const MAX_CACHED_REQUEST = 16
/** Overhead of a cache entry. */
const ENTRY_OVERHEAD_BYTES = 200

/**
 * Encoded mvccpb.KeyValue of versions: from the ring, a small cache of recently read ones (the API server asks for the
 * first key of a resource again and again), else from the database. While one read of the database runs, all others
 * wait together for the next: one message to its thread instead of one each.
 */
export class KeyValues {
  readonly #ring: Ring
  readonly #dialect: Pick<Dialect, 'readValues'>
  readonly #maxCacheBytes: number
  #cache = new Map<RowId, Buffer>()
  #cacheBytes = 0
  #next: { readonly ids: Set<RowId>; readonly values: Promise<ReadonlyMap<RowId, Buffer>> } | undefined
  #reading: Promise<unknown> = Promise.resolve()

  constructor(options: KeyValuesOptions, deps: KeyValuesDeps) {
    this.#maxCacheBytes = options.maxCacheBytes
    this.#ring = deps.ring
    this.#dialect = deps.dialect
  }

  /** In memory now, or undefined. */
  peek(version: KeyVersion): Buffer | undefined {
    const event = this.#ring.get(version.id)
    if (event !== undefined) return event.kv
    const cached = this.#cache.get(version.id)
    if (cached === undefined) return undefined
    this.#cache.delete(version.id)
    this.#cache.set(version.id, cached)
    return cached
  }

  /** Forgets what was read, and will be by reads that are under way: the database may hold other rows under the same ids. */
  clear(): void {
    this.#cache = new Map()
    this.#cacheBytes = 0
    this.#next = undefined
  }

  /**
   * @throws StoreError 'unavailable' if a version is no longer in the log: another instance has compacted it before this
   * one knew, which stood still for long; whoever asks again finds that this one has heard of it
   */
  async load(versions: readonly KeyVersion[]): Promise<readonly Buffer[]> {
    const found = await this.find(versions)
    if (found.includes(undefined)) {
      throw new StoreError('unavailable', { cause: new Error('another instance has compacted what was to be read') })
    }
    return found as Buffer[]
  }

  /** As `load`; undefined for what is no longer in the log. */
  async find(versions: readonly KeyVersion[]): Promise<readonly (Buffer | undefined)[]> {
    const found = versions.map((version) => this.peek(version))
    const missing = versions.filter((_, i) => found[i] === undefined)
    if (missing.length === 0) return found
    const cache = this.#cache
    const values = await this.#read(missing)
    const lasting = versions.length <= MAX_CACHED_REQUEST && cache === this.#cache
    return versions.map((version, i) => found[i] ?? this.#encode(version, values, lasting))
  }

  #encode(version: KeyVersion, values: ReadonlyMap<RowId, Buffer>, lasting: boolean): Buffer | undefined {
    const value = values.get(version.id)
    if (value === undefined) return undefined
    const kv = encodeKeyValue(version, value)
    if (lasting) this.#remember(version.id, kv)
    return kv
  }

  #remember(id: RowId, kv: Buffer): void {
    if (this.#cache.has(id) || kv.length * 8 > this.#maxCacheBytes) return
    this.#cache.set(id, kv)
    this.#cacheBytes += kv.length + ENTRY_OVERHEAD_BYTES
    for (const [oldest, bytes] of this.#cache) {
      if (this.#cacheBytes <= this.#maxCacheBytes) return
      this.#cache.delete(oldest)
      this.#cacheBytes -= bytes.length + ENTRY_OVERHEAD_BYTES
    }
  }

  #read(versions: readonly KeyVersion[]): Promise<ReadonlyMap<RowId, Buffer>> {
    this.#next ??= this.#startBatch()
    for (const { id } of versions) this.#next.ids.add(id)
    return this.#next.values
  }

  #startBatch(): { readonly ids: Set<RowId>; readonly values: Promise<ReadonlyMap<RowId, Buffer>> } {
    const ids = new Set<RowId>()
    const values = this.#reading.then(() => {
      this.#next = undefined
      return this.#dialect.readValues([...ids])
    })
    this.#reading = values.catch(() => undefined)
    return { ids, values }
  }
}
