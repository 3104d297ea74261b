import { isDeepStrictEqual } from 'node:util'
import { PatchError } from '#pkg/patch/error.ts'
import { isJsonList, isJsonObject, type Json, type JsonObject } from '#pkg/patch/json.ts'
import type { MergeRule } from '#pkg/patch/merge-keys.ts'

const DIRECTIVE = '$patch'
const RETAIN_KEYS = '$retainKeys'
const DELETE_FROM = '$deleteFromPrimitiveList/'

/**
 * Applies a strategic merge patch of Kubernetes: as a merge patch, but lists of objects are merged by key, and `$patch`
 * (replace, delete, merge), `$retainKeys` and `$deleteFromPrimitiveList/…` are obeyed. An item that is new comes first,
 * as with kubectl. Pure.
 *
 * @throws PatchError naming the field
 */
export function strategicMerge(target: JsonObject, patch: JsonObject, rule: MergeRule): JsonObject {
  return mergeObject(target, patch, rule, '')
}

/** What is not supported or misspelt, found without an object. @throws PatchError */
export function checkDirectives(patch: Json, path = ''): void {
  if (isJsonList(patch)) patch.forEach((item, i) => checkDirectives(item, `${path}[${i}]`))
  if (!isJsonObject(patch)) return
  for (const [key, value] of Object.entries(patch)) {
    const at = join(path, key)
    if (key === DIRECTIVE) directiveOf(patch, path)
    else if (key === RETAIN_KEYS || key.startsWith(DELETE_FROM)) {
      if (!isJsonList(value)) throw new PatchError(`${at} must be a list`)
    } else if (key.startsWith('$')) throw new PatchError(`${at} is not supported`)
    else checkDirectives(value, at)
  }
}

function mergeObject(target: JsonObject, patch: JsonObject, rule: MergeRule, path: string): JsonObject {
  const directive = directiveOf(patch, path)
  if (directive === 'delete') return {}
  if (directive === 'replace') return withoutDirectives(patch) as JsonObject
  const retained = patch[RETAIN_KEYS]
  const kept = Object.entries(target).filter(([key]) => !isJsonList(retained) || retained.includes(key))
  const merged = new Map<string, Json>(kept)
  for (const [key, value] of Object.entries(patch)) {
    if (key === DIRECTIVE || key === RETAIN_KEYS) continue
    if (key.startsWith(DELETE_FROM)) {
      const field = key.slice(DELETE_FROM.length)
      const present = merged.get(field)
      if (isJsonList(present) && isJsonList(value)) merged.set(field, without(present, value))
    } else if (value === null) merged.delete(key)
    else merged.set(key, mergeValue(merged.get(key), value, rule.fields?.[key] ?? {}, join(path, key)))
  }
  return Object.fromEntries(merged)
}

function mergeValue(target: Json | undefined, patch: Json, rule: MergeRule, path: string): Json {
  if (isJsonObject(target) && isJsonObject(patch)) return mergeObject(target, patch, rule, path)
  if (!isJsonList(target) || !isJsonList(patch)) return withoutDirectives(patch)
  if (rule.set === true) return [...target, ...without(patch, target)]
  return rule.mergeKey === undefined ? patch : mergeList(target, patch, { ...rule, mergeKey: rule.mergeKey }, path)
}

function mergeList(
  target: readonly Json[],
  patch: readonly Json[],
  rule: MergeRule & { readonly mergeKey: string },
  path: string,
): readonly Json[] {
  const { mergeKey } = rule
  const items = patch.map((item, i) => {
    if (isJsonObject(item)) return item
    throw new PatchError(`${path}[${i}] must be a mapping`)
  })
  if (items.some((item, i) => directiveOf(item, `${path}[${i}]`) === 'replace')) {
    return withoutDirectives(items) as readonly Json[]
  }
  const keyOf = (item: Json): Json | undefined => (isJsonObject(item) ? item[mergeKey] : undefined)
  for (const [i, item] of items.entries()) {
    if (keyOf(item) === undefined) throw new PatchError(`${path}[${i}] needs ${mergeKey}, by which items are matched`)
  }
  const named = new Map(items.map((item) => [keyOf(item), item]))
  const untouched = target.filter((item) => !named.has(keyOf(item)))
  const given = [...named].filter(([, item]) => item[DIRECTIVE] !== 'delete')
  const merged = given.map(([key, item]) =>
    mergeValue(
      target.find((present) => keyOf(present) === key),
      item,
      rule.fields === undefined ? {} : { fields: rule.fields },
      `${path}[${JSON.stringify(key)}]`,
    ),
  )
  return interleaved(untouched, merged, (item) => target.findIndex((present) => keyOf(present) === keyOf(item)))
}

/** Both lists keep their order; between them the place in the old list decides, and what was not in it comes first. */
function interleaved(
  untouched: readonly Json[],
  merged: readonly Json[],
  placeOf: (item: Json) => number,
): readonly Json[] {
  const result: Json[] = []
  let next = 0
  for (const item of merged) {
    const place = placeOf(item)
    while (next < untouched.length && placeOf(untouched[next] ?? null) < place) result.push(untouched[next++] ?? null)
    result.push(item)
  }
  return [...result, ...untouched.slice(next)]
}

type Directive = 'replace' | 'delete' | 'merge'

function directiveOf(patch: JsonObject, path: string): Directive {
  const directive = patch[DIRECTIVE] ?? 'merge'
  if (directive === 'replace' || directive === 'delete' || directive === 'merge') return directive
  throw new PatchError(`${join(path, DIRECTIVE)} must be one of replace, delete, merge`)
}

/** What becomes of a part of a patch that there is nothing to merge with. */
function withoutDirectives(value: Json): Json {
  if (isJsonList(value)) {
    return value.filter((item) => !isJsonObject(item) || item[DIRECTIVE] !== 'delete').flatMap(bare)
  }
  if (!isJsonObject(value)) return value
  const entries = Object.entries(value).filter(([key, entry]) => !key.startsWith('$') && entry !== null)
  return Object.fromEntries(entries.map(([key, entry]) => [key, withoutDirectives(entry)]))
}

/** An item that is nothing but a directive is none. */
function bare(item: Json): readonly Json[] {
  const isDirective = isJsonObject(item) && Object.keys(item).every((key) => key === DIRECTIVE) && DIRECTIVE in item
  return isDirective ? [] : [withoutDirectives(item)]
}

function without(list: readonly Json[], removed: readonly Json[]): readonly Json[] {
  return list.filter((item) => !removed.some((other) => isDeepStrictEqual(item, other)))
}

const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`)
