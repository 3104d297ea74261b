import type { JsonSchema } from '#pkg/apis/json-schema.ts'

/**
 * The schema for editors and other tools: plain JSON Schema in which keys with a default are not required. Pure.
 */
export function exportSchema(schema: JsonSchema): JsonSchema {
  const copy = JSON.parse(JSON.stringify(schema)) as JsonSchema // drops the symbols and functions of TypeBox
  return relax(copy)
}

function relax(schema: JsonSchema): JsonSchema {
  const { properties, items, required, patternProperties, additionalProperties, ...rest } = schema
  const needed = (required ?? []).filter((key) => properties?.[key]?.default === undefined)
  const [anyKey] = Object.values(patternProperties ?? {})
  return {
    ...rest,
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, relax(value)])) }),
    ...(items === undefined ? {} : { items: relax(items) }),
    ...(needed.length === 0 ? {} : { required: needed }),
    ...(anyKey === undefined ? {} : { additionalProperties: relax(anyKey) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties }),
  }
}
