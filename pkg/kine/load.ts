import { Alarms } from '#pkg/kine/alarm/alarms.ts'
import type { Key, LeaseRecord, Revision } from '#pkg/kine/backend.ts'
import type { Dialect, Head, LogRow, SharedLog, StoredState } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { KeyIndex } from '#pkg/kine/index/key-index.ts'
import { Lessor } from '#pkg/kine/lease/lessor.ts'
import { Ring } from '#pkg/kine/ring/ring.ts'
import { toEvent } from '#pkg/kine/watch/catch-up.ts'

/** What a store holds in memory, as the database had it at `head`. */
export interface Loaded {
  readonly head: Head
  readonly index: KeyIndex
  readonly lessor: Lessor
  readonly alarms: Alarms
  readonly ring: Ring
}

/** Newest revisions that a starting store takes into its ring: those that reconnecting watchers ask for. */
const WARM_REVISIONS = 1000
const PAGE_ROWS = 500
/** Attempts to read everything between two compactions before giving up; each can only fail by one. */
const MAX_ATTEMPTS = 10

const EVERYTHING = { start: Buffer.alloc(0), end: Buffer.alloc(0) }
const MONOTONIC = { monotonic: () => performance.now() }

/** Loads a database that nobody else writes to. */
export async function load(dialect: Dialect, state: StoredState, ringBytes: number): Promise<Loaded> {
  const index = await readIndex(dialect)
  return {
    head: state,
    index,
    lessor: attach(state.leases, index),
    alarms: new Alarms(state.alarms),
    ring: await warmRing(dialect, state, ringBytes),
  }
}

/**
 * Loads a database that others write to meanwhile: what they change while the index is read is read again from the log.
 *
 * @throws StoreError 'unavailable'
 */
export async function loadShared(dialect: Dialect, shared: SharedLog, ringBytes: number): Promise<Loaded> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await loadOnce(dialect, shared, ringBytes)
    } catch (error) {
      // The log was pruned under the index that was just read.
      if (!isCompacted(error)) throw error
      if (attempt === MAX_ATTEMPTS) throw new StoreError('unavailable', { cause: error })
    }
  }
}

async function loadOnce(dialect: Dialect, shared: SharedLog, ringBytes: number): Promise<Loaded> {
  const from = await shared.head()
  const index = await readIndex(dialect)
  const to = await shared.head()
  await readChanges(dialect, from.revision + 1, to.revision, (rows) => {
    for (const { now } of rows) index.apply(now)
  })
  const { changes, alarms, seq } = await shared.leasesAfter(0)
  const leases = changes.map(({ record }) => record).filter((record) => record !== undefined)
  return {
    head: { ...to, leaseSeq: seq },
    index,
    lessor: attach(leases, index),
    alarms: new Alarms(alarms),
    ring: await warmRing(dialect, to, ringBytes).catch((error: unknown) => {
      if (!isCompacted(error)) throw error
      return new Ring({ maxBytes: ringBytes }, to.revision + 1)
    }),
  }
}

async function readIndex(dialect: Dialect): Promise<KeyIndex> {
  const index = new KeyIndex()
  for (let after: Key | undefined; ;) {
    const page = await dialect.readIndex(after)
    for (const version of page) index.apply(version)
    after = page.at(-1)?.key
    if (after === undefined) return index
  }
}

async function readChanges(
  dialect: Dialect,
  from: Revision,
  to: Revision,
  visit: (rows: readonly LogRow[]) => void,
  withPrevious = false,
): Promise<void> {
  for (let next = from; next <= to;) {
    const query = { range: EVERYTHING, from: next, to, maxRows: PAGE_ROWS, withPrevious }
    const { rows, through } = await dialect.readLog(query)
    visit(rows)
    next = through + 1
  }
}

/** The leases, with the keys that are attached to them. */
function attach(leases: readonly LeaseRecord[], index: KeyIndex): Lessor {
  const lessor = new Lessor(MONOTONIC)
  for (const lease of leases) lessor.put(lease)
  index.each((version) => {
    if (version.lease !== 0) lessor.moveKey(undefined, version)
  })
  return lessor
}

/** The newest revisions of the log, so that watchers which come back after a restart are served from memory. */
async function warmRing(dialect: Dialect, head: Head, maxBytes: number): Promise<Ring> {
  const first = Math.max(1, head.compactRevision + 1, head.revision - WARM_REVISIONS)
  const ring = new Ring({ maxBytes }, first)
  await readChanges(dialect, first, head.revision, (rows) => ring.append(rows.map(toEvent)), true)
  return ring
}

function isCompacted(error: unknown): boolean {
  return error instanceof StoreError && error.kind === 'compacted'
}
