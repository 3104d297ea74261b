import type { ChangeEvent, KeyVersion } from '#pkg/kine/backend.ts'
import { encodeKeyValue, encodeTombstone, keyInside } from '#pkg/kine/wire/key-value.ts'

/** Encoded changes share pieces of memory of this size: an ArrayBuffer each costs the garbage collector more than its bytes. */
const SLAB_BYTES = 64 * 1024
/** Larger ones have memory of their own, so that little of a slab is lost at its end. */
const SHARING_LIMIT_BYTES = 8 * 1024
let slab = Buffer.alloc(0)
let used = 0

/**
 * A change as the ring keeps it and watchers get it. It lives long and there are many: its keys are views of its own
 * encoded form, which lies beside those of the changes before and after it. The ring drops changes in their order, so
 * that a slab goes as soon as its last one does.
 */
export function changeEvent(
  now: KeyVersion,
  value: Buffer,
  previous: KeyVersion | undefined,
  previousKv: Buffer | undefined,
): ChangeEvent {
  const kv = now.version === 0 ? encodeTombstone(now) : encodeKeyValue(now, value, allocate)
  const key = keyInside(kv, now.key.length)
  return { now: { ...now, key }, kv, previous: previous && { ...previous, key }, previousKv }
}

function allocate(bytes: number): Buffer {
  if (bytes > SHARING_LIMIT_BYTES) return Buffer.allocUnsafeSlow(bytes)
  if (used + bytes > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
    used = 0
  }
  used += bytes
  return slab.subarray(used - bytes, used)
}
