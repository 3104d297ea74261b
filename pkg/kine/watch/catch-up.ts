import type { ChangeEvent, Revision } from '#pkg/kine/backend.ts'
import type { Dialect, LogRow } from '#pkg/kine/dialect/dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import type { KeyValues } from '#pkg/kine/read/key-values.ts'
import { changeEvent } from '#pkg/kine/ring/change-event.ts'
import type { Ring } from '#pkg/kine/ring/ring.ts'
import { inRange } from '#pkg/kine/keys.ts'
import type { Watcher } from '#pkg/kine/watch/watcher.ts'
import { encodeKeyValue } from '#pkg/kine/wire/key-value.ts'

/** Events and bytes after which one step of one watcher ends, behind a whole revision. */
const STEP_EVENTS = 1000
const STEP_BYTES = 1024 * 1024
/** Events of others that one step passes over before it lets the event loop go on. */
const STEP_SCANNED = 20_000
/** Rows of the log that one read of the database looks at. */
const LOG_ROWS = 1000

/** What a watcher that is behind is filled from. */
export interface CatchUpDeps {
  readonly ring: Ring
  readonly keyValues: KeyValues
  readonly dialect: Pick<Dialect, 'readLog'>
  readonly revision: () => Revision
  readonly compactRevision: () => Revision
}

/** Events of whole revisions, complete up to but not including `next`. */
export interface CatchUpStep {
  readonly events: readonly ChangeEvent[]
  readonly next: Revision
}

/**
 * Next events of a watcher from revision `from` on: from the ring, synchronously, if it reaches back that far and has
 * the previous values, else from the database.
 */
export function readBehind(watcher: Watcher, from: Revision, deps: CatchUpDeps): CatchUpStep | Promise<CatchUpStep> {
  if (from < deps.ring.firstRevision) return readFromLog(watcher, from, deps)
  const step = readFromRing(watcher, from, deps)
  const lacking = step.events.filter((event) => watcher.lacksPrevious(event))
  return lacking.length === 0 ? step : loadPrevious(lacking, deps).then(() => step)
}

function readFromRing(watcher: Watcher, from: Revision, deps: CatchUpDeps): CatchUpStep {
  const events: ChangeEvent[] = []
  let next = deps.revision() + 1
  let bytes = 0
  let scanned = 0
  let revision = from
  deps.ring.scan(from, (event) => {
    const { modRevision, key } = event.now
    if (modRevision !== revision) {
      if (events.length >= STEP_EVENTS || bytes >= STEP_BYTES || scanned >= STEP_SCANNED) {
        next = modRevision
        return false
      }
      revision = modRevision
    }
    scanned += 1
    if (!inRange(key, watcher.range) || !watcher.wants(event)) return true
    events.push(event)
    bytes += event.kv.length + (event.previousKv?.length ?? 0)
    return true
  })
  return { events, next }
}

async function loadPrevious(lacking: readonly ChangeEvent[], deps: CatchUpDeps): Promise<void> {
  await Promise.all(
    lacking.map(async (event) => {
      if (event.previous === undefined) return
      const [keyValue] = await deps.keyValues.find([event.previous])
      if (keyValue === undefined) assertCompacted(event, deps)
      event.previousKv = keyValue
    }),
  )
}

/**
 * A value is gone only if the event itself has been compacted or is at the compact revision; etcd then sends none either.
 * If this instance has not heard of that compaction yet the watch waits until it has: it may have to end then.
 */
function assertCompacted({ now }: ChangeEvent, { compactRevision }: CatchUpDeps): void {
  if (now.modRevision <= compactRevision()) return
  throw new StoreError('unavailable', { cause: new Error('another instance has compacted a value before its change') })
}

async function readFromLog(watcher: Watcher, from: Revision, deps: CatchUpDeps): Promise<CatchUpStep> {
  const to = deps.revision()
  const { range } = watcher
  const query = { range, from, to, maxRows: LOG_ROWS, withPrevious: watcher.options.previousWanted }
  const { rows, through } = await deps.dialect.readLog(query)
  return { events: rows.map(toEvent).filter((event) => watcher.wants(event)), next: through + 1 }
}

/** A row of the log as the ring would hold it. */
export function toEvent({ now, value, previous, previousValue }: LogRow): ChangeEvent {
  return changeEvent(now, value, previous, previous && encodeKeyValue(previous, previousValue))
}
