import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { PatchError } from '#pkg/patch/error.ts'
import type { JsonObject } from '#pkg/patch/json.ts'
import { applyPatch, parsePatch, type PatchSpec } from '#pkg/patch/patch.ts'

/** A change that the configuration makes to what is rendered. */
export interface ObjectPatch {
  readonly target: { readonly kind: string; readonly name: string; readonly namespace?: string | undefined }
  readonly patch: PatchSpec
}

/** A list of patches and where it stands in the configuration. */
export interface ObjectPatches {
  /** For example `spec.network.coreDNS.patches`. */
  readonly path: string
  readonly patches: readonly ObjectPatch[]
}

/** Objects after their patches. */
export interface PatchedObjects {
  readonly objects: readonly KubeObject[]
  /** Paths of patches whose target is none of the objects: they change nothing, as in k0s. */
  readonly unmatched: readonly string[]
}

/** Applies patches in their order to the objects they are for. Pure. @throws PatchError naming the patch */
export function patchObjects(objects: readonly KubeObject[], { path, patches }: ObjectPatches): PatchedObjects {
  const unmatched: string[] = []
  const patched = patches.reduce((before, patch, i) => {
    const at = `${path}[${i}]`
    if (!before.some((object) => isTarget(object, patch))) unmatched.push(at)
    return before.map((object) => (isTarget(object, patch) ? patchObject(object, patch, at) : object))
  }, objects)
  return { objects: patched, unmatched }
}

function isTarget({ kind, metadata }: KubeObject, { target }: ObjectPatch): boolean {
  const { namespace = '' } = target
  return kind === target.kind && metadata.name === target.name && ['', metadata.namespace].includes(namespace)
}

function patchObject(object: KubeObject, { target, patch }: ObjectPatch, at: string): KubeObject {
  try {
    const patched = applyPatch(asJson(object), parsePatch(patch)) as unknown as KubeObject
    // The applier finds objects again by these.
    for (const field of ['apiVersion', 'kind'] as const) mustStay(field, object[field], patched[field])
    mustStay('metadata.name', object.metadata.name, (patched.metadata as KubeObject['metadata'] | undefined)?.name)
    return patched
  } catch (err) {
    if (!(err instanceof PatchError)) throw err
    throw new PatchError(`${at} cannot be applied to ${target.kind} ${target.name}: ${err.message}`, { cause: err })
  }
}

function mustStay(field: string, before: string, after: unknown): void {
  if (after !== before) throw new PatchError(`it changes ${field}, by which the object is known; leave that as it is`)
}

/** As it will be written: without what is undefined. */
function asJson(object: KubeObject): JsonObject {
  return JSON.parse(JSON.stringify(object)) as JsonObject
}
