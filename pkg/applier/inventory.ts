import { stackLabels } from '#pkg/applier/manifest.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { isNotFound } from '#pkg/kubernetes/errors.ts'
import { apiVersionOf } from '#pkg/kubernetes/discovery.ts'
import type { ApiResource, KubeObject, ResourceRef } from '#pkg/kubernetes/types.ts'

/** An object in the cluster that carries a stack label. */
export interface StackMember {
  readonly stack: string
  readonly ref: ResourceRef
  readonly kind: string
  readonly group: string
  readonly namespace: string | undefined
  readonly name: string
  readonly uid: string
  readonly checksum: string | undefined
  readonly appliedBy: string | undefined
}

/** A kind and where its objects are listed. */
export type Kind = Pick<ApiResource, 'kind' | 'group' | 'version' | 'resource'>

/**
 * Everything in the cluster with a stack label, metadata only. Objects that a controller made (an EndpointSlice has the
 * labels of its Service) do not count. Kinds that cannot be listed are named in `unread`: of them nothing is known.
 */
export async function readInventory(
  client: KubeClient,
  kinds: readonly Kind[],
  /** `concurrency`: lists in flight at once. */
  { signal, concurrency }: { readonly signal: AbortSignal; readonly concurrency: number },
): Promise<{ readonly members: readonly StackMember[]; readonly unread: readonly string[] }> {
  const members: StackMember[] = []
  const unread: string[] = []
  const queue = oneVersionEach(kinds).values()
  const worker = async (): Promise<void> => {
    for (const kind of queue) {
      const { group, version, resource } = kind
      try {
        const list = await client.list(
          { group, version, resource },
          { labelSelector: stackLabels.stack, metadataOnly: true, signal },
        )
        members.push(...list.items.filter(isOwn).map((item) => member(kind, item)))
      } catch (thrown) {
        signal.throwIfAborted()
        if (!isNotFound(thrown)) unread.push(kind.kind) // not found: the kind was removed meanwhile
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return { members, unread }
}

/** The member as it is now, or undefined when it is gone. */
export async function readMember(
  client: KubeClient,
  known: StackMember,
  { signal }: { readonly signal: AbortSignal },
): Promise<StackMember | undefined> {
  const { ref, kind, group } = known
  const object = await client.find(ref, known.name, { signal })
  return object && isOwn(object) ? toMember({ ref, kind, group }, object) : undefined
}

function member(kind: Kind, item: KubeObject): StackMember {
  const { group, version, resource } = kind
  const ref: ResourceRef = { group, version, resource, namespace: item.metadata.namespace }
  return toMember({ ref, kind: kind.kind, group }, item)
}

/** The member that `object` is, at `ref`. */
export function toMember(
  { ref, kind, group }: Pick<StackMember, 'ref' | 'kind' | 'group'>,
  { metadata }: KubeObject,
): StackMember {
  return {
    stack: metadata.labels?.[stackLabels.stack] ?? '',
    ref,
    kind,
    group,
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid ?? '',
    checksum: metadata.annotations?.[stackLabels.checksum],
    appliedBy: metadata.annotations?.[stackLabels.appliedBy],
  }
}

function isOwn({ metadata }: KubeObject): boolean {
  return metadata.labels?.[stackLabels.stack] !== undefined && (metadata.ownerReferences ?? []).length === 0
}

/** Whether a stack can hold objects of this kind. */
export function isPrunable({ verbs, kind, resource }: ApiResource): boolean {
  return verbs.includes('list') && verbs.includes('delete') && kind !== 'Event' && !resource.includes('/')
}

function oneVersionEach(kinds: readonly Kind[]): readonly Kind[] {
  const first = new Map<string, Kind>()
  for (const kind of kinds) {
    const key = apiVersionOf(kind.group, kind.resource)
    if (!first.has(key)) first.set(key, kind)
  }
  return [...first.values()]
}
