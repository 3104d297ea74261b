import type { ChangeEvent, KeyVersion } from '#pkg/kine/backend.ts'
import { encodeKeyValue, encodeTombstone, keyInside } from '#pkg/kine/wire/key-value.ts'

/**
 * A change as the ring keeps it and watchers get it. It lives long and there are many: its keys are views of its own
 * encoded form, so that it has one piece of memory and keeps no other one alive.
 */
export function changeEvent(
  now: KeyVersion,
  value: Buffer,
  previous: KeyVersion | undefined,
  previousKv: Buffer | undefined,
): ChangeEvent {
  const kv = now.version === 0 ? encodeTombstone(now) : encodeKeyValue(now, value)
  const key = keyInside(kv, now.key.length)
  return { now: { ...now, key }, kv, previous: previous && { ...previous, key }, previousKv }
}
