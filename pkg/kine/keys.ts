import type { Key, KeyRange } from '#pkg/kine/backend.ts'

/**
 * The bytes of a key as text, one character a byte: an exact, reversible mapping for keys of Maps and Sets.
 * Order is always taken from the bytes.
 */
export function identity(key: Key): string {
  return key.toString('latin1')
}

/** A copy with memory of its own: a pooled or sliced buffer would keep its whole slab alive as long as the key. */
export function ownCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** Whether the range holds the key. */
export function inRange(key: Key, { start, end }: KeyRange): boolean {
  if (end === undefined) return key.equals(start)
  return key.compare(start) >= 0 && (end.length === 0 || key.compare(end) < 0)
}
