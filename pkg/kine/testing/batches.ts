import type { AlarmChanges } from '#pkg/kine/alarm/alarms.ts'
import { ROWS_PER_REVISION } from '#pkg/kine/backend.ts'
import type { KeyVersion, LeaseId, LeaseRecord, Revision } from '#pkg/kine/backend.ts'
import type { AppendBatch, Head, NewRow } from '#pkg/kine/dialect/dialect.ts'

/** Head of a fresh store. */
export const FRESH: Head = { revision: 1, lastId: 0, compactRevision: -1, leaseSeq: 0 }

/** Every key there is. */
export const EVERYTHING = { start: Buffer.alloc(0), end: Buffer.alloc(0) }

/** A row that creates `key` at `revision` with the value `key@revision`, unless told otherwise. */
export function newRow(
  revision: Revision,
  key: string | Buffer,
  more: Partial<KeyVersion> & {
    readonly value?: Buffer
    readonly replacedId?: number
    readonly previousId?: number
  } = {},
): NewRow {
  const { value = Buffer.from(`${String(key)}@${revision}`), replacedId = 0, previousId = 0, ...fields } = more
  const now = {
    key: Buffer.from(key),
    id: revision * ROWS_PER_REVISION,
    modRevision: revision,
    createRevision: revision,
    version: 1,
    lease: 0,
    valueSize: value.length,
    ...fields,
  }
  return { now, value, replacedId, previousId }
}

/** A batch on a head, with the head that it leads to. */
export function batchAfter(
  after: Head,
  rows: readonly NewRow[],
  more: {
    readonly leases?: readonly LeaseRecord[]
    readonly revokedLeases?: readonly LeaseId[]
    readonly compactRevision?: Revision
    readonly alarms?: AlarmChanges
  } = {},
): AppendBatch {
  const { leases = [], revokedLeases = [], compactRevision = after.compactRevision, alarms } = more
  const last = rows.at(-1)?.now
  const leaseSeq = after.leaseSeq + (alarms !== undefined || leases.length + revokedLeases.length > 0 ? 1 : 0)
  const next = {
    revision: last?.modRevision ?? after.revision,
    lastId: last?.id ?? after.lastId,
    compactRevision,
    leaseSeq,
  }
  return { rows, leases, revokedLeases, alarms, after, next }
}
