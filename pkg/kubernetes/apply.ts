import { errorMessage } from '#pkg/errors/error.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import type { ResourceMapper } from '#pkg/kubernetes/discovery.ts'
import { isConflict, isNotFound, isTransient } from '#pkg/kubernetes/errors.ts'
import type { KubeObject, ResourceRef } from '#pkg/kubernetes/types.ts'

/** Field manager of everything that the product applies. */
export const FIELD_MANAGER = 'k0s'

/** What became of one object. */
export type ApplyOutcome =
  | { readonly object: KubeObject; readonly state: 'applied'; readonly ref: ResourceRef; readonly live: KubeObject }
  /** Worth another try: the namespace or the kind is not there yet, the server is busy or gone. */
  | { readonly object: KubeObject; readonly state: 'later'; readonly reason: string }
  /** The server refused the object as it is. */
  | { readonly object: KubeObject; readonly state: 'refused'; readonly reason: string }

/** What applying needs. */
export interface ApplyDeps {
  readonly client: KubeClient
  readonly mapper: ResourceMapper
}

/** Requests in flight at once: enough to hide latency, few enough to leave the API server to others. */
const CONCURRENCY = 8

/**
 * Applies objects, each once: namespaces and definitions of kinds first, the others after them, in parallel. Never
 * throws for an object; only when `signal` aborts.
 */
export async function applyObjects(
  objects: readonly KubeObject[],
  { client, mapper }: ApplyDeps,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly ApplyOutcome[]> {
  const outcomes = new Map<KubeObject, ApplyOutcome>()
  for (const phase of [objects.filter(comesFirst), objects.filter((object) => !comesFirst(object))]) {
    const queue = phase.values()
    const worker = async (): Promise<void> => {
      for (const object of queue) outcomes.set(object, await applyOne(object, { client, mapper }, signal))
    }
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, phase.length) }, worker))
  }
  return objects.map((object) => outcomes.get(object)).filter((outcome) => outcome !== undefined)
}

/**
 * Applies until every object is in, with growing pauses; for what the product itself brings and cannot do without.
 * Rejects only when `signal` aborts. What is refused is logged and tried again as well: an admission webhook of the
 * user may stand in the way for a while.
 */
export async function applyUntilDone(
  objects: readonly KubeObject[],
  deps: ApplyDeps,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  let left = objects
  for (let attempt = 0; left.length > 0; attempt += 1) {
    const outcomes = await applyObjects(left, deps, { signal })
    const failed = outcomes.filter((outcome) => outcome.state !== 'applied')
    left = failed.map(({ object }) => object)
    const [first] = failed
    if (first === undefined) return
    const fields = { count: failed.length, first: describeObject(first.object), reason: first.reason }
    if (failed.some(({ state }) => state === 'refused')) log.warn('objects not applied', fields)
    else log.debug('objects not applied yet', fields)
    await sleep(backoffMs(attempt, { initialMs: 50, maxMs: 5_000 }), { signal })
  }
}

/** `Kind namespace/name`, for messages. */
export function describeObject({ kind, metadata: { namespace, name } }: KubeObject): string {
  return `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`
}

async function applyOne(object: KubeObject, { client, mapper }: ApplyDeps, signal: AbortSignal): Promise<ApplyOutcome> {
  try {
    const ref = await mapper.refFor(object, { signal })
    if (ref === undefined) {
      return { object, state: 'later', reason: `the API server does not know ${object.kind} of ${object.apiVersion}` }
    }
    const live = await client.apply(ref, object.metadata.name, object, { fieldManager: FIELD_MANAGER, signal })
    return { object, state: 'applied', ref, live }
  } catch (thrown) {
    signal.throwIfAborted()
    const canWait = isTransient(thrown) || isNotFound(thrown) || isConflict(thrown)
    return { object, state: canWait ? 'later' : 'refused', reason: errorMessage(thrown) }
  }
}

function comesFirst({ kind }: KubeObject): boolean {
  return kind === 'Namespace' || kind === 'CustomResourceDefinition'
}
