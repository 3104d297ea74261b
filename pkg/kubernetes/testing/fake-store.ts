import type { KubeObject, WatchEvent } from '#pkg/kubernetes/types.ts'

/** A kind that the fake serves. */
export interface FakeResource {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly resource: string
  readonly namespaced: boolean
}

/** The kinds known from the start. */
export const builtinResources: readonly FakeResource[] = [
  { group: '', version: 'v1', kind: 'Namespace', resource: 'namespaces', namespaced: false },
  { group: '', version: 'v1', kind: 'Node', resource: 'nodes', namespaced: false },
  { group: '', version: 'v1', kind: 'ConfigMap', resource: 'configmaps', namespaced: true },
  { group: '', version: 'v1', kind: 'Secret', resource: 'secrets', namespaced: true },
  { group: '', version: 'v1', kind: 'Service', resource: 'services', namespaced: true },
  { group: '', version: 'v1', kind: 'ServiceAccount', resource: 'serviceaccounts', namespaced: true },
  { group: 'apps', version: 'v1', kind: 'Deployment', resource: 'deployments', namespaced: true },
  { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease', resource: 'leases', namespaced: true },
  {
    group: 'certificates.k8s.io',
    version: 'v1',
    kind: 'CertificateSigningRequest',
    resource: 'certificatesigningrequests',
    namespaced: false,
  },
  ...['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'].map((kind) => ({
    group: 'rbac.authorization.k8s.io',
    version: 'v1',
    kind,
    resource: `${kind.toLowerCase()}s`,
    namespaced: !kind.startsWith('Cluster'),
  })),
  {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    kind: 'CustomResourceDefinition',
    resource: 'customresourcedefinitions',
    namespaced: false,
  },
  {
    group: 'apiregistration.k8s.io',
    version: 'v1',
    kind: 'APIService',
    resource: 'apiservices',
    namespaced: false,
  },
]

/** An event with what is needed to route it. */
export interface StoredEvent {
  readonly revision: number
  readonly resource: FakeResource
  readonly event: WatchEvent
}

/** Objects by resource and key, one revision counter, and the events that watches replay. */
export class FakeStore {
  readonly resources: FakeResource[] = [...builtinResources]
  readonly #objects = new Map<string, KubeObject>()
  readonly #listeners = new Set<(stored: StoredEvent) => void>()
  #events: StoredEvent[] = []
  /** Events up to this revision are compacted away. */
  #compacted = 0
  revision = 1

  find(resource: FakeResource, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(storeKey(resource, namespace, name))
  }

  list(resource: FakeResource, namespace?: string): KubeObject[] {
    const prefix = storeKey(resource, namespace, '')
    return [...this.#objects].filter(([key]) => key.startsWith(prefix)).map(([, object]) => object)
  }

  put(resource: FakeResource, object: KubeObject): KubeObject {
    const key = storeKey(resource, object.metadata.namespace, object.metadata.name)
    const previous = this.#objects.get(key)
    const same = previous !== undefined && JSON.stringify(stripped(previous)) === JSON.stringify(stripped(object))
    if (same) return previous
    this.revision += 1
    const uid = previous?.metadata.uid ?? `uid-${this.revision}`
    const metadata = { ...object.metadata, uid, resourceVersion: String(this.revision) }
    const stored: KubeObject = { ...object, metadata }
    this.#objects.set(key, stored)
    this.#emit(resource, { type: previous === undefined ? 'ADDED' : 'MODIFIED', object: stored })
    return stored
  }

  remove(resource: FakeResource, namespace: string | undefined, name: string): boolean {
    const key = storeKey(resource, namespace, name)
    const object = this.#objects.get(key)
    if (object === undefined) return false
    this.#objects.delete(key)
    this.revision += 1
    const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.revision) } }
    this.#emit(resource, { type: 'DELETED', object: last })
    return true
  }

  /** Forgets past events: a watch from an older revision gets 410. */
  compact(): void {
    this.#compacted = this.revision
    this.#events = []
  }

  /** Events after `revision`, or undefined if they are gone. */
  since(revision: number): readonly StoredEvent[] | undefined {
    if (revision < this.#compacted) return undefined
    return this.#events.filter((stored) => stored.revision > revision)
  }

  subscribe(listener: (stored: StoredEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #emit(resource: FakeResource, event: WatchEvent): void {
    const stored = { revision: this.revision, resource, event }
    this.#events.push(stored)
    for (const listener of this.#listeners) listener(stored)
  }
}

/** Without what the server sets on its own. */
function stripped({ metadata, ...rest }: KubeObject): unknown {
  return { ...rest, metadata: { ...metadata, resourceVersion: undefined, uid: undefined } }
}

function storeKey({ group, resource }: FakeResource, namespace: string | undefined, name: string): string {
  // A list across namespaces matches every namespace: the prefix stops at the resource.
  if (name === '' && namespace === undefined) return `${group}/${resource}|`
  return `${group}/${resource}|${namespace ?? ''}|${name}`
}

/** Merges as JSON merge patch does (RFC 7386). */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {}
  const merged = new Map<string, unknown>(Object.entries(base))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else merged.set(key, mergePatch(merged.get(key), value))
  }
  return Object.fromEntries(merged)
}
