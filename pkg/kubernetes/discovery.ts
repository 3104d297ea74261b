import { builtinKinds } from '#pkg/kubernetes/builtin-kinds.ts'
import type { CallOptions, KubeClient } from '#pkg/kubernetes/client.ts'
import type { ApiResource, KubeObject, ResourceRef } from '#pkg/kubernetes/types.ts'

/** Aggregated discovery (one answer for all groups), with the plain list of groups for servers that lack it. */
const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json'

/**
 * Every kind of every served version, preferred versions first within a group. Groups whose backend does not answer
 * (an aggregated API that is not up yet) are left out.
 */
export async function discover(client: KubeClient, options: CallOptions = {}): Promise<readonly ApiResource[]> {
  const answers = await Promise.all(
    ['/api', '/apis'].map((path) =>
      client.request<GroupDiscoveryList>('GET', path, { ...options, accept: AGGREGATED }),
    ),
  )
  return answers.flatMap(({ items }) => items ?? []).flatMap(groupResources)
}

/** How long a kind that was not there is taken to be still missing: a burst of objects asks once, not each. */
const MISSING_FOR_MS = 100

/**
 * Kind to resource: built-in kinds from a table, others from discovery, read again when a kind is asked for that it does not know (a CRD that was
 * established since).
 */
export class ResourceMapper {
  readonly #client: KubeClient
  #resources: readonly ApiResource[] = builtinKinds
  #readAtMs = -Infinity
  #reading: Promise<readonly ApiResource[]> | undefined

  constructor(client: KubeClient) {
    this.#client = client
  }

  /** Where `object` lives, or undefined when the server does not know its kind (yet). */
  async refFor(object: KubeObject, options: CallOptions = {}): Promise<ResourceRef | undefined> {
    const isOfKind = ({ group, version, kind }: ApiResource): boolean =>
      kind === object.kind && apiVersionOf(group, version) === object.apiVersion
    let found = this.#resources.find(isOfKind)
    if (found === undefined && performance.now() - this.#readAtMs > MISSING_FOR_MS) {
      found = (await this.refresh(options)).find(isOfKind)
    }
    if (found === undefined) return undefined
    const { group, version, resource, namespaced } = found
    return { group, version, resource, namespace: namespaced ? (object.metadata.namespace ?? 'default') : undefined }
  }

  /** Reads discovery now; callers at the same time share one reading. */
  async refresh(options: CallOptions = {}): Promise<readonly ApiResource[]> {
    this.#reading ??= discover(this.#client, options).finally(() => (this.#reading = undefined))
    this.#resources = await this.#reading
    this.#readAtMs = performance.now()
    return this.#resources
  }
}

/** `apps` + `v1` → `apps/v1`; the core group has no slash. */
export function apiVersionOf(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`
}

interface GroupDiscoveryList {
  readonly items?: readonly GroupDiscovery[]
}
/** apidiscovery.k8s.io/v2 APIGroupDiscovery. */
interface GroupDiscovery {
  readonly metadata?: { readonly name?: string }
  readonly versions?: readonly {
    readonly version: string
    readonly freshness?: string
    readonly resources?: readonly {
      readonly resource: string
      readonly responseKind?: { readonly kind: string }
      readonly scope: 'Namespaced' | 'Cluster'
      readonly verbs: readonly string[]
    }[]
  }[]
}

function groupResources({ metadata, versions = [] }: GroupDiscovery): ApiResource[] {
  return versions
    .filter(({ freshness }) => freshness !== 'Stale')
    .flatMap(({ version, resources = [] }) =>
      resources.map(({ resource, responseKind, scope, verbs }) => ({
        group: metadata?.name ?? '',
        version,
        kind: responseKind?.kind ?? '',
        resource,
        namespaced: scope === 'Namespaced',
        verbs,
      })),
    )
}
