import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { silentLogger, type Logger } from '#pkg/log/logger.ts'
import type { KubeClient, SelectOptions } from '#pkg/kubernetes/client.ts'
import { isGone } from '#pkg/kubernetes/errors.ts'
import type { KubeObject, ResourceRef } from '#pkg/kubernetes/types.ts'

/** One difference between what was known and what is. */
export type Change<T extends KubeObject> =
  | { readonly type: 'added'; readonly object: T }
  | { readonly type: 'modified'; readonly object: T; readonly previous: T }
  | { readonly type: 'deleted'; readonly object: T }

/** What `reflect` follows, and whom it tells. */
export interface ReflectOptions<T extends KubeObject> extends SelectOptions {
  /** Ends the reflection; `reflect` then resolves. */
  readonly signal: AbortSignal
  /**
   * All objects by `namespace/name` (just `name` when cluster-scoped): after every list and every change. The map is
   * live: copy what is kept. Awaited, so a slow receiver slows the watch down and is never called twice at once.
   */
  readonly onState?: (objects: ReadonlyMap<string, T>) => void | Promise<void>
  /** Each change; a list after a gap is reported as its differences. Awaited like `onState`. */
  readonly onChange?: (change: Change<T>) => void | Promise<void>
  readonly log?: Logger | undefined
  /** Longest wait before another try, milliseconds. Default 3 000: an API server that restarts is back in seconds. */
  readonly maxBackoffMs?: number | undefined
}

/** A watch that ends sooner than this counts as a failure: no busy loop against a server that closes every watch. */
const HEALTHY_WATCH_MS = 1_000

/**
 * Lists, then watches, for ever: across lost connections, ended watches and compacted versions. What goes wrong is
 * logged once per outage and tried again with growing, jittered delays. Resolves when `signal` aborts.
 */
export async function reflect<T extends KubeObject = KubeObject>(
  client: Pick<KubeClient, 'list' | 'watch'>,
  ref: ResourceRef,
  options: ReflectOptions<T>,
): Promise<void> {
  const { signal, log = silentLogger, maxBackoffMs = 3_000 } = options
  const store = new Store<T>(options, log)
  const stopped = (): boolean => signal.aborted
  for (let failures = 0; !stopped();) {
    const startedAt = performance.now()
    try {
      if (store.resourceVersion === undefined) await relist(client, ref, store, options)
      await follow(client, ref, store, options)
      failures = performance.now() - startedAt >= HEALTHY_WATCH_MS ? 0 : failures + 1
    } catch (thrown) {
      if (stopped()) return
      // The first 410 is answered by listing at once; a list that fails keeps the version undefined.
      const gone = isGone(thrown)
      if (gone) store.resourceVersion = undefined
      if (performance.now() - startedAt >= HEALTHY_WATCH_MS) failures = 0
      failures += 1
      if (!gone && (failures === 1 || failures % 20 === 0)) {
        log.warn('watch interrupted', { resource: ref.resource, err: errorMessage(thrown), failures })
      }
    }
    if (failures > 0) {
      const delayMs = backoffMs(failures - 1, { initialMs: 50, maxMs: maxBackoffMs, jitter: 0.5 })
      await sleep(delayMs, { signal }).catch(() => undefined)
    }
  }
}

async function relist<T extends KubeObject>(
  client: Pick<KubeClient, 'list' | 'watch'>,
  ref: ResourceRef,
  store: Store<T>,
  { signal, labelSelector, fieldSelector, metadataOnly }: ReflectOptions<T>,
): Promise<void> {
  const list = await client.list<T>(ref, { signal, labelSelector, fieldSelector, metadataOnly })
  await store.replace(list.items)
  store.resourceVersion = list.metadata.resourceVersion
}

async function follow<T extends KubeObject>(
  client: Pick<KubeClient, 'list' | 'watch'>,
  ref: ResourceRef,
  store: Store<T>,
  { signal, labelSelector, fieldSelector, metadataOnly }: ReflectOptions<T>,
): Promise<void> {
  const { resourceVersion } = store
  const events = client.watch<T>(ref, { signal, resourceVersion, labelSelector, fieldSelector, metadataOnly })
  for await (const { type, object } of events) {
    if (type === 'DELETED') await store.remove(object)
    else if (type !== 'BOOKMARK') await store.put(object)
    store.resourceVersion = object.metadata.resourceVersion ?? store.resourceVersion
  }
}

/** The objects as last seen; tells the receivers what changed. A receiver that throws is logged and passed over. */
class Store<T extends KubeObject> {
  /** Where the next watch continues; undefined: list first. */
  resourceVersion: string | undefined
  readonly #objects = new Map<string, T>()
  readonly #options: ReflectOptions<T>
  readonly #log: Logger

  constructor(options: ReflectOptions<T>, log: Logger) {
    this.#options = options
    this.#log = log
  }

  async replace(items: readonly T[]): Promise<void> {
    const present = new Set(items.map(objectKey))
    for (const [key, object] of [...this.#objects]) {
      if (present.has(key)) continue
      this.#objects.delete(key)
      await this.#tell({ type: 'deleted', object })
    }
    for (const item of items) await this.#set(item)
    await this.#tellState()
  }

  async put(object: T): Promise<void> {
    if (await this.#set(object)) await this.#tellState()
  }

  async remove(object: T): Promise<void> {
    if (!this.#objects.delete(objectKey(object))) return
    await this.#tell({ type: 'deleted', object })
    await this.#tellState()
  }

  async #set(object: T): Promise<boolean> {
    const key = objectKey(object)
    const previous = this.#objects.get(key)
    if (previous?.metadata.resourceVersion === object.metadata.resourceVersion && previous !== undefined) return false
    this.#objects.set(key, object)
    await this.#tell(previous === undefined ? { type: 'added', object } : { type: 'modified', object, previous })
    return true
  }

  async #tell(change: Change<T>): Promise<void> {
    await this.#guarded(async () => this.#options.onChange?.(change))
  }

  async #tellState(): Promise<void> {
    await this.#guarded(async () => this.#options.onState?.(this.#objects))
  }

  async #guarded(call: () => Promise<void>): Promise<void> {
    try {
      await call()
    } catch (err) {
      if (!this.#options.signal.aborted) this.#log.error('receiver of a watch failed', { err })
    }
  }
}

/** `namespace/name`, or `name` for cluster-scoped objects. */
export function objectKey({ metadata: { namespace, name } }: KubeObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}
