import { isJsonObject, type Json } from '#pkg/patch/json.ts'

/** Applies a JSON merge patch (RFC 7386): objects are merged, null removes, everything else replaces. Pure. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch
  const merged = new Map(Object.entries(isJsonObject(target) ? target : {}))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else merged.set(key, mergePatch(merged.get(key), value))
  }
  return Object.fromEntries(merged)
}
