import { isDeepStrictEqual } from 'node:util'
import { PatchError } from '#pkg/patch/error.ts'
import { isJsonList, isJsonObject, type Json } from '#pkg/patch/json.ts'
import { placedAt, pointerSteps, removedAt, valueAt } from '#pkg/patch/json-pointer.ts'

/** One operation of a JSON patch (RFC 6902). */
export type JsonOperation =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: Json }
  | { readonly op: 'move' | 'copy'; readonly path: string; readonly from: string }
  | { readonly op: 'remove'; readonly path: string }

/** Reads a JSON patch. @throws PatchError naming the operation that is not well-formed */
export function parseJsonPatch(content: Json): readonly JsonOperation[] {
  if (!isJsonList(content)) throw new PatchError('a JSON patch is a list of operations')
  return content.map((entry, i) => {
    try {
      return parseOperation(entry)
    } catch (thrown) {
      throw numbered(i, thrown)
    }
  })
}

/** Applies the operations one after the other. Pure. @throws PatchError naming the operation that does not fit */
export function applyJsonPatch(document: Json, operations: readonly JsonOperation[]): Json {
  return operations.reduce((result, operation, i) => {
    try {
      return applyOperation(result, operation)
    } catch (thrown) {
      throw numbered(i, thrown)
    }
  }, document)
}

function parseOperation(entry: Json): JsonOperation {
  if (!isJsonObject(entry)) throw new PatchError('must be a mapping with op and path')
  const { op, path, from, value } = entry
  const pointer = (name: string, given: Json | undefined): string => {
    if (typeof given !== 'string') throw new PatchError(`${name} is required and must be a string`)
    pointerSteps(given)
    return given
  }
  switch (op) {
    case 'add':
    case 'replace':
    case 'test':
      if (value === undefined) throw new PatchError(`${op} needs a value`)
      return { op, path: pointer('path', path), value }
    case 'move':
    case 'copy':
      return { op, path: pointer('path', path), from: pointer('from', from) }
    case 'remove':
      return { op, path: pointer('path', path) }
    default:
      throw new PatchError('op must be one of add, remove, replace, move, copy, test')
  }
}

function applyOperation(document: Json, operation: JsonOperation): Json {
  const { op, path } = operation
  switch (op) {
    case 'add':
    case 'replace':
      return placedAt(document, path, operation.value, op)
    case 'remove':
      return removedAt(document, path)
    case 'copy':
      return placedAt(document, path, valueAt(document, operation.from), 'add')
    case 'move': {
      if (path.startsWith(`${operation.from}/`)) throw new PatchError(`${operation.from} cannot be moved into itself`)
      const value = valueAt(document, operation.from)
      return placedAt(removedAt(document, operation.from), path, value, 'add')
    }
    case 'test':
      if (isDeepStrictEqual(valueAt(document, path), operation.value)) return document
      throw new PatchError(`${path} is not ${JSON.stringify(operation.value)}`)
  }
}

function numbered(index: number, thrown: unknown): unknown {
  if (!(thrown instanceof PatchError)) return thrown
  return new PatchError(`operation ${index + 1}: ${thrown.message}`, { cause: thrown })
}
