import type { JsonSchema } from '#pkg/apis/json-schema.ts'

/** The reference of all keys of a configuration as Markdown, from their schema. Pure. */
export function renderConfigReference(schema: JsonSchema): string {
  const rows = Object.entries(schema.properties ?? {}).flatMap(([key, property]) => rowsOf(property, key))
  return [
    '# Configuration file',
    '',
    'Generated from `pkg/apis/k0s/v1beta1`. The file is a ClusterConfig; every key but those marked required may be left',
    'out. Keys that are not listed are refused. `k0s config create` prints the defaults, `k0s config validate` checks a file.',
    '',
    '| Key | Type | Default | Meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

function rowsOf(schema: JsonSchema, path: string, required = false): readonly string[] {
  const listed = schema.items?.properties === undefined ? schema : schema.items
  const prefix = listed === schema ? path : `${path}[]`
  const children = Object.entries(listed.properties ?? {}).flatMap(([key, property]) =>
    rowsOf(property, `${prefix}.${key}`, isRequired(listed, key)),
  )
  const meaning = [required ? 'Required.' : '', schema.description ?? ''].filter(Boolean).join(' ')
  if (children.length > 0 && meaning === '') return children
  return [`| \`${path}\` | ${typeName(schema)} | ${defaultText(schema)} | ${escape(meaning)} |`, ...children]
}

function isRequired(schema: JsonSchema, key: string): boolean {
  return (schema.required?.includes(key) ?? false) && schema.properties?.[key]?.default === undefined
}

function typeName({ type, enum: words, items, additionalProperties }: JsonSchema): string {
  if (words !== undefined) return words.map((word) => `\`${word === '' ? '""' : String(word)}\``).join(', ')
  if (type === 'array') return items?.type === 'object' ? 'list' : `list of ${items?.type ?? 'values'}s`
  if (type === 'object') return typeof additionalProperties === 'object' ? 'map' : 'section'
  return type ?? 'any'
}

function defaultText({ default: value }: JsonSchema): string {
  if (value === undefined || typeof value === 'object') return ''
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

const escape = (text: string): string => text.replaceAll('|', '\\|')
