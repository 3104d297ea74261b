import type { Head } from '#pkg/kine/dialect/dialect.ts'

/** Whether `applied` includes everything that `head` stands for. */
export function includes(applied: Head, head: Head): boolean {
  return (
    applied.revision >= head.revision &&
    applied.leaseSeq >= head.leaseSeq &&
    applied.compactRevision >= head.compactRevision
  )
}

/** Whether both name the same state: nothing at all was committed between the two. */
export function sameHead(a: Head, b: Head): boolean {
  return (
    a.revision === b.revision &&
    a.lastId === b.lastId &&
    a.leaseSeq === b.leaseSeq &&
    a.compactRevision === b.compactRevision
  )
}
