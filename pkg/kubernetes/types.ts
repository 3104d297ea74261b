/** Metadata that every stored object carries; the fields are Kubernetes's ObjectMeta. */
export interface ObjectMeta {
  readonly name: string
  readonly generateName?: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
  readonly finalizers?: readonly string[]
}

/** metav1.OwnerReference. */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
}

/** Any API object; code that needs more of it extends this. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly [key: string]: unknown
}

/** What a list answers. Items of a list carry no apiVersion and kind on the wire: the client fills them in. */
export interface KubeList<T extends KubeObject> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items: readonly T[]
}

/** Where a kind of object lives: group (empty for core), version, plural name, and the namespace if there is one. */
export interface ResourceRef {
  readonly group: string
  readonly version: string
  /** Plural, lower case: `configmaps`. */
  readonly resource: string
  /** Left out: cluster-scoped, or across all namespaces in lists and watches. */
  readonly namespace?: string | undefined
}

/** One kind that the API server serves. */
export interface ApiResource {
  readonly group: string
  readonly version: string
  readonly kind: string
  /** Plural. */
  readonly resource: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
}

/** One change as a watch reports it. `BOOKMARK` carries only a newer resource version. */
export interface WatchEvent<T extends KubeObject = KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: T
}

/** Path of a resource, or of one object (and its sub-resource) when named. */
export function resourcePath(ref: ResourceRef, name?: string, subresource?: string): string {
  const parts = ref.group === '' ? ['api', ref.version] : ['apis', ref.group, ref.version]
  if (ref.namespace !== undefined) parts.push('namespaces', ref.namespace)
  parts.push(ref.resource)
  if (name !== undefined) parts.push(name)
  if (subresource !== undefined) parts.push(subresource)
  return `/${parts.map(encodeURIComponent).join('/')}`
}
