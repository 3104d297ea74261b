import type { JsonSchema } from '#pkg/apis/json-schema.ts'
import type { Problem } from '#pkg/config/problem.ts'

/*
 * A validator for the part of JSON Schema that pkg/apis uses. Ajv is not used at run time: loading and compiling it takes
 * 270 ms and 18 MB in the supervisor (measured on this schema), and its messages are about schemas, not about files. A test
 * holds this one to Ajv's verdict.
 */

/** Removed keys that k0s still accepts in old files. */
export const ignoredKeys: ReadonlySet<string> = new Set(['interval', 'podSecurityPolicy'])

/** Everything in `value` that the schema does not allow. `null` counts as left out, as it does in Go. */
export function validate(schema: JsonSchema, value: unknown, path = ''): readonly Problem[] {
  if (value === null || value === undefined) return []
  const typed = typeProblem(schema, value)
  if (typed !== undefined) return [{ path, message: typed }]
  if (Array.isArray(value)) return arrayProblems(schema, value, path)
  if (typeof value === 'object') return objectProblems(schema, value as Record<string, unknown>, path)
  const message = scalarProblem(schema, value)
  return message === undefined ? [] : [{ path, message }]
}

function arrayProblems(schema: JsonSchema, value: readonly unknown[], path: string): readonly Problem[] {
  const { items = {}, minItems = 0 } = schema
  if (value.length < minItems) return [{ path, message: `needs at least ${minItems} item` }]
  return value.flatMap((entry, i) =>
    entry === null ? [{ path: `${path}[${i}]`, message: 'is empty' }] : validate(items, entry, `${path}[${i}]`),
  )
}

function objectProblems(
  schema: JsonSchema,
  value: Readonly<Record<string, unknown>>,
  path: string,
): readonly Problem[] {
  const properties = schema.properties ?? {}
  const [anyKey] = Object.values(schema.patternProperties ?? {})
  const at = (key: string): string => (path === '' ? key : `${path}.${key}`)
  const found = Object.entries(value).flatMap(([key, entry]) => {
    const property = Object.hasOwn(properties, key) ? properties[key] : anyKey
    if (property !== undefined) return validate(property, entry, at(key))
    if (schema.additionalProperties !== false || ignoredKeys.has(key)) return []
    return [{ path: at(key), message: `unknown key${suggestion(key, Object.keys(properties))}` }]
  })
  const missing = (schema.required ?? [])
    .filter((key) => properties[key]?.default === undefined && (value[key] ?? undefined) === undefined)
    .map((key) => ({ path: at(key), message: 'is required' }))
  return [...found, ...missing]
}

function typeProblem({ type }: JsonSchema, value: unknown): string | undefined {
  if (type === undefined || matchesType(type, value)) return undefined
  const hint = type === 'string' && typeof value !== 'object' ? '; write it in quotes' : ''
  return `must be ${typeNames[type] ?? type}, not ${describe(value)}${hint}`
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a string',
  integer: 'an integer',
  number: 'a number',
  boolean: 'true or false',
  object: 'a mapping',
  array: 'a list',
}

function matchesType(type: string, value: unknown): boolean {
  switch (type) {
    case 'array':
      return Array.isArray(value)
    case 'object':
      return typeof value === 'object' && !Array.isArray(value)
    case 'integer':
      return Number.isSafeInteger(value)
    default:
      return typeof value === type
  }
}

function scalarProblem(schema: JsonSchema, value: unknown): string | undefined {
  const { enum: words, pattern, minLength = 0, maxLength = Infinity, minimum = -Infinity, maximum = Infinity } = schema
  if (words !== undefined && !words.includes(value)) {
    const shown = words.filter((word) => word !== '')
    return `must be ${shown.length > 1 ? 'one of ' : ''}${shown.join(', ')}, not ${describe(value)}`
  }
  if (typeof value === 'string') {
    if (value.length < minLength) return 'must not be empty'
    if (value.length > maxLength) return `must have at most ${maxLength} characters`
    if (pattern !== undefined && !new RegExp(pattern).test(value)) {
      return `${describe(value)} is not a duration; write it as 8760h, 90m or 30s`
    }
  }
  if (typeof value === 'number' && (value < minimum || value > maximum)) {
    return maximum === Infinity
      ? `must be at least ${minimum}, not ${value}`
      : `must be between ${minimum} and ${maximum}, not ${value}`
  }
  return undefined
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

function suggestion(key: string, known: readonly string[]): string {
  const near = known
    .map((word) => ({ word, distance: editDistance(key.toLowerCase(), word.toLowerCase()) }))
    .filter(({ word, distance }) => distance <= (word.length < 4 ? 1 : Math.max(2, Math.floor(word.length / 3))))
    .sort((a, b) => a.distance - b.distance)[0]
  return near === undefined ? '' : `; did you mean ${near.word}?`
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
