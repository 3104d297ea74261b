import type { Key } from '#pkg/kine/backend.ts'

/**
 * The bytes of a key as text, one character a byte: an exact, reversible mapping that serves only as the key of a Map.
 * Order is always taken from the bytes.
 */
export function identity(key: Key): string {
  return key.toString('latin1')
}
