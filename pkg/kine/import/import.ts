import type { Revision } from '#pkg/kine/backend.ts'
import type { Dialect, StoredState, UpstreamRow } from '#pkg/kine/dialect/dialect.ts'
import { KineError } from '#pkg/kine/errors.ts'
import { COPY_PENDING, IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'
import { LogWriter } from '#pkg/kine/import/log-writer.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'
import { UpstreamHistory } from '#pkg/kine/import/upstream.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Interval of progress in the log, milliseconds. */
const PROGRESS_MS = 2_000
/** Until it is looked again whether another instance has finished, milliseconds. */
const RETRY_MS = 500
/** Keys and values of a commit, bytes. */
const BATCH_BYTES = 1024 * 1024

const UNFINISHED_COPY =
  'the database is the target of a migration that has not finished: run the same "k0s datastore migrate" again'

/** What an import works with. */
export interface ImportDeps {
  readonly dialect: Dialect
  readonly log: Logger
}

/**
 * Opens the database; if it holds the table of an upstream kine and nothing of ours yet, takes that over first:
 * objects, revisions, history since upstream's compaction. Upstream's table is only read. A killed import goes on where
 * it was, and of several instances whichever commits first does the next part.
 *
 * @throws KineError, StoreError
 */
export async function openImported({ dialect, log }: ImportDeps): Promise<StoredState> {
  for (;;) {
    const state = await dialect.open()
    if (state.compactRevision <= state.revision) return state
    try {
      if (state.compactRevision === COPY_PENDING) throw new KineError(UNFINISHED_COPY)
      if (!(await importRows(state, { dialect, log }))) await sleep(RETRY_MS)
    } catch (error) {
      await dialect.close()
      throw error
    }
  }
}

/** False: another instance has written in between. */
async function importRows(state: StoredState, { dialect, log }: ImportDeps): Promise<boolean> {
  const writer = new LogWriter(dialect, state, IMPORT_PENDING)
  const history = new UpstreamHistory()
  const progress = startProgress(log)
  log.info('importing the database of an upstream kine', { after: writer.revision })
  for await (const changes of upstreamChanges(dialect, history, writer.revision)) {
    if (!(await writer.write(changes))) return false
    progress(changes)
  }
  const { revision, compactRevision } = history
  if (!(await writer.complete({ revision, compactRevision, leases: history.leases() }))) return false
  log.info('the upstream kine is imported; its table "kine" is unchanged and can be dropped', {
    revision,
    compactRevision,
  })
  return true
}

/**
 * What an upstream's table amounts to after a revision, in batches; the table is read from its start, because versions
 * are counted and the history must be known to the end.
 */
export async function* upstreamChanges(
  dialect: Pick<Dialect, 'readUpstream'>,
  history: UpstreamHistory,
  after: Revision,
): AsyncGenerator<readonly StoredChange[]> {
  let batch: StoredChange[] = []
  let bytes = 0
  for await (const row of upstreamRows(dialect)) {
    const change = history.change(row)
    if (change === undefined || change.revision <= after) continue
    batch.push(change)
    bytes += change.key.length + change.value.length
    if (bytes < BATCH_BYTES) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}

async function* upstreamRows(dialect: Pick<Dialect, 'readUpstream'>): AsyncGenerator<UpstreamRow> {
  if (dialect.readUpstream === undefined) throw new KineError('this database cannot hold an upstream kine')
  for (let after = 0; ;) {
    const rows = await dialect.readUpstream(after)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined) return
    after = last.id
  }
}

function startProgress(log: Logger): (changes: readonly StoredChange[]) => void {
  let total = 0
  let shownAt = performance.now()
  return (changes) => {
    total += changes.length
    if (performance.now() - shownAt < PROGRESS_MS) return
    shownAt = performance.now()
    log.info('importing', { changes: total, revision: changes.at(-1)?.revision })
  }
}
