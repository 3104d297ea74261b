import { parse } from 'yaml'
import { errorMessage } from '#pkg/errors/error.ts'
import { PatchError } from '#pkg/patch/error.ts'
import { isJsonObject, type Json, type JsonObject } from '#pkg/patch/json.ts'
import { applyJsonPatch, parseJsonPatch, type JsonOperation } from '#pkg/patch/json-patch.ts'
import { mergePatch } from '#pkg/patch/merge-patch.ts'
import { mergeRules } from '#pkg/patch/merge-keys.ts'
import { checkDirectives, strategicMerge } from '#pkg/patch/strategic-merge.ts'

/** A patch as the configuration has it. */
export interface PatchSpec {
  readonly type: 'JSON' | 'MergePatch' | 'StrategicMergePatch'
  /** JSON or YAML. */
  readonly content: string
}

/** A patch that was read. */
export type Patch =
  | { readonly type: 'JSON'; readonly operations: readonly JsonOperation[] }
  | { readonly type: 'MergePatch' | 'StrategicMergePatch'; readonly changes: JsonObject }

/** Reads the content of a patch. @throws PatchError */
export function parsePatch({ type, content }: PatchSpec): Patch {
  const value = parseContent(content)
  if (type === 'JSON') return { type, operations: parseJsonPatch(value) }
  if (!isJsonObject(value)) throw new PatchError(`a ${type} is a mapping, a part of the object`)
  if (type === 'StrategicMergePatch') checkDirectives(value)
  return { type, changes: value }
}

/** The object with the patch applied. Pure. @throws PatchError when it does not fit the object */
export function applyPatch(object: JsonObject, patch: Patch): JsonObject {
  const patched = patchedValue(object, patch)
  if (isJsonObject(patched)) return patched
  throw new PatchError('nothing is left of the object')
}

function patchedValue(object: JsonObject, patch: Patch): Json {
  switch (patch.type) {
    case 'JSON':
      return applyJsonPatch(object, patch.operations)
    case 'MergePatch':
      return mergePatch(object, patch.changes)
    case 'StrategicMergePatch': {
      const { apiVersion = '', kind: name = '' } = object as { readonly apiVersion?: string; readonly kind?: string }
      const kind = `${apiVersion} ${name}`
      const rule = mergeRules[kind]
      // As in Kubernetes: without its type nothing is known of how its lists merge.
      if (rule === undefined) throw new PatchError(`${kind} has no strategic merge; use MergePatch or JSON`)
      return strategicMerge(object, patch.changes, rule)
    }
  }
}

function parseContent(content: string): Json {
  try {
    return parse(content, { logLevel: 'error', maxAliasCount: 100 }) as Json
  } catch (cause) {
    const [firstLine = ''] = errorMessage(cause).split('\n')
    throw new PatchError(`the content is not valid YAML or JSON: ${firstLine.replace(/:$/, '')}`, { cause })
  }
}
