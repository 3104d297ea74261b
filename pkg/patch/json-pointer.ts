import { isJsonList, isJsonObject, type Json, type JsonObject } from '#pkg/patch/json.ts'
import { PatchError } from '#pkg/patch/error.ts'

/** The steps of a JSON pointer (RFC 6901). @throws PatchError unless it is empty or begins with a slash */
export function pointerSteps(pointer: string): readonly string[] {
  if (pointer === '') return []
  if (!pointer.startsWith('/')) throw new PatchError(`the path "${pointer}" does not begin with /`)
  if (/~(?![01])/.test(pointer)) throw new PatchError(`the path "${pointer}" has a ~ that is not ~0 or ~1`)
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The value that a pointer leads to. @throws PatchError when there is none */
export function valueAt(document: Json, pointer: string): Json {
  let value: Json | undefined = document
  for (const step of pointerSteps(pointer)) value = child(value, step)
  if (value === undefined) throw missing(pointer)
  return value
}

/** Where a value is put: replacing what is there, or (`add`) inserted before it in a list. */
export type Placement = 'add' | 'replace'

/** A copy of the document with `value` at the pointer. @throws PatchError when there is no such place */
export function placedAt(document: Json, pointer: string, value: Json, placement: Placement): Json {
  return (
    changedAt(document, pointerSteps(pointer), pointer, (parent, step) => {
      if (isJsonList(parent)) {
        const index = listIndex(parent, step, placement)
        if (index === undefined) throw missing(pointer)
        return parent.toSpliced(index, placement === 'add' ? 0 : 1, value)
      }
      if (!isJsonObject(parent)) throw missing(pointer)
      if (placement === 'replace' && !Object.hasOwn(parent, step)) throw missing(pointer)
      return { ...parent, [step]: value }
    }) ?? value
  )
}

/** A copy of the document without what is at the pointer. @throws PatchError when there is nothing */
export function removedAt(document: Json, pointer: string): Json {
  return (
    changedAt(document, pointerSteps(pointer), pointer, (parent, step) => {
      if (child(parent, step) === undefined) throw missing(pointer)
      if (isJsonList(parent)) return parent.toSpliced(Number(step), 1)
      return Object.fromEntries(Object.entries(parent as JsonObject).filter(([key]) => key !== step))
    }) ?? null
  )
}

type ChangeChild = (parent: Json, step: string) => Json

/** Undefined for the empty pointer, which has no parent. */
function changedAt(document: Json, steps: readonly string[], pointer: string, change: ChangeChild): Json | undefined {
  const [step, ...rest] = steps
  if (step === undefined) return undefined
  if (rest.length === 0) return change(document, step)
  const below = child(document, step)
  if (below === undefined) throw missing(pointer)
  const changed = changedAt(below, rest, pointer, change) ?? null
  if (isJsonList(document)) return document.with(Number(step), changed)
  return { ...(document as JsonObject), [step]: changed }
}

function child(parent: Json | undefined, step: string): Json | undefined {
  if (isJsonList(parent)) {
    const index = listIndex(parent, step, 'replace')
    return index === undefined ? undefined : parent[index]
  }
  return isJsonObject(parent) && Object.hasOwn(parent, step) ? parent[step] : undefined
}

function listIndex(list: readonly Json[], step: string, placement: Placement): number | undefined {
  if (step === '-' && placement === 'add') return list.length
  if (!/^(0|[1-9]\d*)$/.test(step)) return undefined
  const index = Number(step)
  return index < list.length + (placement === 'add' ? 1 : 0) ? index : undefined
}

function missing(pointer: string): PatchError {
  return new PatchError(`there is no ${pointer === '' ? 'document' : pointer}`)
}
