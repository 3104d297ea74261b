import { hash } from 'node:crypto'
import type { Key } from '#pkg/kine/backend.ts'

/** Bytes of a key's hash: no two keys ever share one. */
const HASH_BYTES = 16

/** What keys are found by in the database, whose indexes do not take keys of any length: SHA-256, truncated. */
export function keyHash(key: Key): Buffer {
  return hash('sha256', key, 'buffer').subarray(0, HASH_BYTES)
}
