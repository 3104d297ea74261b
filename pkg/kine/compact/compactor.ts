import { errorMessage } from '#pkg/errors/error.ts'
import type { Key, Revision } from '#pkg/kine/backend.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import type { Pins } from '#pkg/kine/read/pins.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Pause between two slices: commits that wait go first, and the disk gets some rest. */
const SLICE_PAUSE_MS = 5
/** Wait while another instance prunes. */
const ELSEWHERE_MS = 5_000
/** Wait for a read that holds an old revision, or after an error. */
const RETRY_MS = 500
/** Tombstones of the index looked at in one turn of the event loop. */
const TOMBSTONES = 2000

/** Options of a compactor. */
export interface CompactorOptions {
  /** Where pruning begins: rows superseded at this revision are gone already. */
  readonly pruned: Revision
  /** Time between a compaction and the deletion of rows: reads of other instances may still need them. 0 for none. */
  readonly graceMs: number
}

/** What Compactor works with. */
export interface CompactorDeps {
  readonly dialect: Pick<Dialect, 'prune'>
  readonly index: KeyIndex
  readonly pins: Pins
  readonly log: Logger
}

/**
 * Deletes what a recorded compaction has made unreachable, in small slices between the writes. Knows no outcome for
 * clients: the compact revision is set, durably, before this starts, and an interrupted run goes on after a restart.
 */
export class Compactor {
  readonly #graceMs: number
  readonly #deps: CompactorDeps
  readonly #stopping = new AbortController()
  #target: Revision
  #pruned: Revision
  #running: Promise<void> | undefined

  constructor({ pruned, graceMs }: CompactorOptions, deps: CompactorDeps) {
    this.#graceMs = graceMs
    this.#deps = deps
    this.#target = pruned
    this.#pruned = pruned
  }

  /** Everything superseded at `revision` may go. */
  wake(revision: Revision): void {
    this.#target = Math.max(this.#target, revision)
    if (this.#target <= this.#pruned || this.#stopping.signal.aborted) return
    this.#running ??= this.#run().finally(() => (this.#running = undefined))
  }

  /**
   * The database holds another history, compacted at `revision`: what was to be deleted of the old one, at a revision that
   * the new one may not have compacted, is left alone.
   */
  restart(revision: Revision): void {
    this.#target = revision
    this.#pruned = Math.min(this.#pruned, revision)
  }

  /** Resolves when what was asked for so far has been deleted. */
  async idle(): Promise<void> {
    await this.#running
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (this.#pruned < this.#target && !signal.aborted) {
      const target = this.#target
      try {
        await pause(this.#graceMs, signal)
        await this.#pruneTo(Math.min(target, this.#target, this.#deps.pins.oldest()), signal)
      } catch (error) {
        this.#deps.log.warn('compaction failed, will retry', { err: errorMessage(error) })
        await pause(RETRY_MS, signal)
      }
    }
  }

  async #pruneTo(through: Revision, signal: AbortSignal): Promise<void> {
    if (through <= this.#pruned) {
      await pause(RETRY_MS, signal)
      return
    }
    const startedAt = performance.now()
    let deleted = 0
    for (let done = false; !done;) {
      if (signal.aborted || through > this.#target) return
      const result = await this.#deps.dialect.prune(through)
      deleted += result.deleted
      done = result.done
      await pause(done ? 0 : result.elsewhere === true ? ELSEWHERE_MS : SLICE_PAUSE_MS, signal)
    }
    if (through > this.#target) return
    await this.#forgetTombstones(through, signal)
    this.#pruned = through
    this.#deps.log.debug('compacted', {
      revision: through,
      deleted,
      durationMs: Math.round(performance.now() - startedAt),
    })
  }

  async #forgetTombstones(through: Revision, signal: AbortSignal): Promise<void> {
    let from: Key | undefined
    do {
      from = this.#deps.index.forgetTombstones(through, from, TOMBSTONES)
      await pause(0, signal)
    } while (from !== undefined && !signal.aborted)
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, { signal }).catch(() => undefined)
}
