import type { Key, KeyRange } from '#pkg/kine/backend.ts'

const EMPTY: Buffer = Buffer.alloc(0)

/** etcd's range_end: absent is a single key, one zero byte means "everything from key on". */
export function toKeyRange(start: Key, rangeEnd: Key): KeyRange {
  if (rangeEnd.length === 0) return { start }
  return { start, end: rangeEnd.length === 1 && rangeEnd[0] === 0 ? EMPTY : rangeEnd }
}
