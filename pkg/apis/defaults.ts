import { asJsonSchema, type JsonSchema } from '#pkg/apis/json-schema.ts'
import { type ClusterSpec, clusterSpecSchema } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'

/**
 * A copy of `value` with every default of the schema filled in, at every depth. `null` counts as left out, as it does in
 * Go. The value has to be valid.
 */
export function withDefaults(schema: JsonSchema, value: unknown): unknown {
  const given = value ?? structuredClone(schema.default)
  if (Array.isArray(given)) return given.map((entry) => withDefaults(schema.items ?? {}, entry))
  if (typeof given !== 'object' || given === null) return given
  const entries = Object.entries(given as Record<string, unknown>).filter(([, entry]) => entry !== null)
  if (schema.properties === undefined) return Object.fromEntries(entries)
  const known = new Map(entries)
  for (const [key, property] of Object.entries(schema.properties)) {
    if (known.has(key) || property.default !== undefined) known.set(key, withDefaults(property, known.get(key)))
  }
  // Keys in the order of the schema, so that what is printed reads the same whatever was given.
  const declared = Object.keys(schema.properties).filter((key) => known.has(key))
  const others = entries.map(([key]) => key).filter((key) => schema.properties?.[key] === undefined)
  return Object.fromEntries([...declared, ...others].map((key) => [key, known.get(key)]))
}

/** The spec of a ClusterConfig in which nothing is given. */
export function defaultClusterSpec(): ClusterSpec {
  return withDefaults(asJsonSchema(clusterSpecSchema), {}) as ClusterSpec
}
