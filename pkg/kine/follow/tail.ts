import type { AlarmMember } from '#pkg/kine/alarm/alarms.ts'
import type { Applier, CommittedChange } from '#pkg/kine/apply.ts'
import type { KeyVersion, LeaseId, LeaseRecord, Revision, RowId } from '#pkg/kine/backend.ts'
import type { Dialect, Head, LogRow, SharedLog } from '#pkg/kine/dialect/dialect.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import { identity } from '#pkg/kine/keys.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import type { KeyValues } from '#pkg/kine/read/key-values.ts'
import { encodeKeyValue } from '#pkg/kine/wire/key-value.ts'

/** Rows that one page of the tail asks for. */
const PAGE_ROWS = 1000

const EVERYTHING = { start: Buffer.alloc(0), end: Buffer.alloc(0) }
const NO_LEASES: ReadonlyMap<LeaseId, LeaseRecord | undefined> = new Map()

/** What Tail works with. */
export interface TailDeps {
  readonly dialect: Pick<Dialect, 'readLog' | 'readValues'>
  readonly shared: Pick<SharedLog, 'leasesAfter'>
  readonly applier: Applier
  readonly index: KeyIndex
  readonly lessor: Lessor
  readonly keyValues: KeyValues
  /** Whether some watcher of the key wants the previous value. */
  readonly previousWanted: (version: KeyVersion) => boolean
}

/**
 * Takes over what other instances have committed, in the order of the log and through the same applier as own commits.
 *
 * INVARIANTS: only within the serial section, so that nothing is applied twice. Every step leaves a state that the
 * database once had, except that leases may be ahead of it: grants come before the rows that use them, revocations
 * after the rows that they caused, and a commit on such a mixture is refused, since its head never existed.
 */
export class Tail {
  readonly #deps: TailDeps

  constructor(deps: TailDeps) {
    this.#deps = deps
  }

  /** @throws StoreError 'compacted' if rows on the way have been pruned; RangeError if the log has a gap */
  async applyUpTo(head: Head): Promise<void> {
    const { applier } = this.#deps
    const leases = head.leaseSeq > applier.head.leaseSeq ? await this.#readLeases(applier.head.leaseSeq) : undefined
    if (leases !== undefined) applier.apply({ changes: [], leases: leases.granted, head: applier.head, previousKv })
    while (applier.revision < head.revision) await this.#applyPage(head.revision)
    const reached = {
      ...applier.head,
      compactRevision: Math.max(applier.compactRevision, head.compactRevision),
      leaseSeq: leases?.seq ?? applier.head.leaseSeq,
    }
    const { revoked = NO_LEASES, alarms } = leases ?? {}
    applier.apply({ changes: [], leases: revoked, alarms, head: reached, previousKv })
  }

  /** Whether the newest change that was applied is in the log as it was. @throws Error if it is not; StoreError */
  async assertSameHistory(): Promise<void> {
    const { dialect, applier } = this.#deps
    const { newest } = applier
    if (newest === undefined) return
    const { modRevision: from } = newest
    const { rows } = await dialect.readLog({ range: EVERYTHING, from, to: from, maxRows: 1, withPrevious: false })
    const row = rows.find(({ now }) => now.id === newest.id)?.now
    const same = row?.key.equals(newest.key) === true && row.version === newest.version
    if (!same || row.createRevision !== newest.createRevision || row.valueSize !== newest.valueSize) {
      throw new Error(`revision ${from} is not in the log as it was`)
    }
  }

  async #readLeases(after: number): Promise<LeasesOfTail> {
    const { changes, alarms, seq, reset } = await this.#deps.shared.leasesAfter(after)
    const granted = new Map<LeaseId, LeaseRecord>()
    const revoked = new Map<LeaseId, undefined>()
    if (reset) for (const id of this.#deps.lessor.ids()) revoked.set(id, undefined)
    for (const { id, record } of changes) {
      if (record === undefined) revoked.set(id, undefined)
      else {
        granted.set(id, record)
        revoked.delete(id)
      }
    }
    return { granted, revoked, alarms, seq }
  }

  async #applyPage(to: Revision): Promise<void> {
    const { dialect, applier, index } = this.#deps
    const query = { range: EVERYTHING, from: applier.revision + 1, to, maxRows: PAGE_ROWS, withPrevious: false }
    const { rows, through } = await dialect.readLog(query)
    const changes = toChanges(rows, index)
    const previousKvs = await this.#readPrevious(changes)
    const head = { ...applier.head, revision: through, lastId: rows.at(-1)?.now.id ?? applier.head.lastId }
    applier.apply({ changes, leases: NO_LEASES, head, previousKv: ({ id }) => previousKvs.get(id) })
  }

  /** Encoded previous versions that watchers want, so that none of them falls behind; those of the page are known. */
  async #readPrevious(changes: readonly CommittedChange[]): Promise<ReadonlyMap<RowId, Buffer>> {
    const { dialect, keyValues, previousWanted } = this.#deps
    const known = new Map<RowId, Buffer>()
    const missing = new Map<RowId, KeyVersion>()
    const own = new Set(changes.map(({ now }) => now.id))
    for (const { now, previous } of changes) {
      if (previous === undefined || own.has(previous.id) || !previousWanted(now)) continue
      const kv = keyValues.peek(previous)
      if (kv === undefined) missing.set(previous.id, previous)
      else known.set(previous.id, kv)
    }
    if (missing.size === 0) return known
    for (const [id, value] of await dialect.readValues([...missing.keys()])) {
      const version = missing.get(id)
      if (version !== undefined) known.set(id, encodeKeyValue(version, value))
    }
    return known
  }
}

interface LeasesOfTail {
  readonly granted: ReadonlyMap<LeaseId, LeaseRecord>
  readonly revoked: ReadonlyMap<LeaseId, undefined>
  readonly alarms: readonly AlarmMember[]
  readonly seq: number
}

function previousKv(): undefined {
  return undefined
}

/** Rows of the log as the changes that they are to the index: what each replaces, and what watchers are told of that. */
export function toChanges(rows: readonly LogRow[], index: Pick<KeyIndex, 'get'>): CommittedChange[] {
  const newest = new Map<string, { readonly now: KeyVersion; readonly before: KeyVersion | undefined }>()
  return rows.map(({ now, value }) => {
    const name = identity(now.key)
    const last = newest.get(name)
    const known = last === undefined ? index.get(now.key) : last.now
    const replaced = known?.version === 0 ? undefined : known
    // A transaction may change a key twice; the version before both is what a watcher is told.
    const before = last?.now.modRevision === now.modRevision ? last.before : replaced
    const created = now.version > 0 && now.createRevision === now.modRevision
    newest.set(name, { now, before })
    return { now, value, replaced, previous: created ? undefined : before }
  })
}
