import { createHash } from 'node:crypto'
import { parse, type Tags } from 'yaml'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** Marks what belongs to a stack; the names are k0s's, the last one is ours. */
export const stackLabels = {
  /** Label: name of the stack. */
  stack: 'k0s.k0sproject.io/stack',
  /** Annotation: checksum of the object as it stands in the file. */
  checksum: 'k0s.k0sproject.io/stack-checksum',
  /** Annotation: the controller whose files hold it. Only that one prunes it: stacks are not synced between controllers. */
  appliedBy: 'k0s.k0sproject.io/stack-applied-by',
} as const

/** A manifest file cannot be used; the message says where in it. */
export class ManifestError extends K0sError {
  override readonly code = 'ERR_MANIFEST'
}

/**
 * The objects of a YAML stream, lists flattened. YAML as Kubernetes reads it: version 1.1 booleans and octal numbers, but
 * no dates and no base-60 numbers. Documents that are JSON are parsed as such, some 200 times faster.
 *
 * @throws ManifestError for text that is not YAML and for documents that are no objects
 */
export function parseManifest(text: string, name: string): readonly KubeObject[] {
  return text
    .split(/^---(?:[ \t].*)?\r?$/m)
    .map((document, index) => parseDocument(document, `${name}, document ${index + 1}`))
    .flatMap((document, index) => flatten(document, `${name}, document ${index + 1}`))
}

/** The object as it is applied: labelled with its stack, annotated with its checksum. */
export function labelled(object: KubeObject, stack: string, appliedBy: string): KubeObject {
  const { metadata } = object
  return {
    ...object,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, [stackLabels.stack]: stack },
      annotations: {
        ...metadata.annotations,
        [stackLabels.checksum]: checksum(object),
        [stackLabels.appliedBy]: appliedBy,
      },
    },
  }
}

/** Short digest of an object's content; the order of keys counts, comments and layout do not. */
export function checksum(object: KubeObject): string {
  return createHash('sha256').update(JSON.stringify(object)).digest('hex').slice(0, 32)
}

/** Names an object whatever version of its kind is used; a manifest may leave out the namespace `default`. */
export function identity(object: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>): string {
  const { apiVersion, kind, metadata } = object
  const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : ''
  return identityOf({ group, kind, namespace: metadata.namespace, name: metadata.name })
}

/** The same from its parts. */
export function identityOf(parts: {
  readonly group: string
  readonly kind: string
  readonly namespace: string | undefined
  readonly name: string
}): string {
  const { group, kind, namespace = 'default', name } = parts
  return [group, kind, namespace, name].join('|')
}

function parseDocument(text: string, where: string): unknown {
  const trimmed = text.trim()
  try {
    if (trimmed.startsWith('{')) return JSON.parse(trimmed)
  } catch {
    // A YAML flow mapping looks like JSON at first.
  }
  try {
    return parse(text, { version: '1.1', customTags: kubernetesTags, logLevel: 'error' })
  } catch (cause) {
    const [firstLine = ''] = errorMessage(cause).split('\n')
    throw new ManifestError(`${where}: not valid YAML: ${firstLine}; correct the file`, { cause })
  }
}

const kubernetesTags = (tags: Tags): Tags =>
  tags.filter((tag) => typeof tag === 'string' || (tag.format !== 'TIME' && !tag.tag.endsWith(':timestamp')))

function flatten(document: unknown, where: string): readonly KubeObject[] {
  if (document === null || document === undefined) return [] // only comments
  const { apiVersion, kind, metadata, items } = document as Partial<KubeObject> & { readonly items?: unknown }
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') {
    throw new ManifestError(`${where}: no Kubernetes object: apiVersion and kind are missing; correct the file`)
  }
  if (kind.endsWith('List') && Array.isArray(items)) {
    return items.flatMap((item, index) => flatten(item, `${where}, item ${index + 1}`))
  }
  if (typeof metadata?.name !== 'string' || metadata.name === '') {
    throw new ManifestError(
      `${where}: ${kind} without metadata.name; name it, a stack cannot keep track of it otherwise`,
    )
  }
  return [document as KubeObject]
}
