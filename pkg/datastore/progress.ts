import type { Revision } from '#pkg/kine/backend.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'

/** What a migration is at. */
export interface Progress {
  /** `reading`: in a dry run. */
  readonly phase: 'copying' | 'verifying' | 'reading'
  readonly changes: number
  /** Of keys and values. */
  readonly bytes: number
  /** Of the revisions; they need not hold equally much. */
  readonly percent: number
  readonly changesPerSecond: number
}

/** Counts what passes and tells it twice a second. */
export class ProgressMeter {
  readonly #phase: Progress['phase']
  readonly #revisions: { readonly from: Revision; readonly to: Revision }
  readonly #report: (progress: Progress) => void
  readonly #startedAt = performance.now()
  #first: Revision | undefined
  #shownAt = 0
  #changes = 0
  #bytes = 0

  constructor(
    phase: Progress['phase'],
    revisions: { readonly from: Revision; readonly to: Revision },
    report: (progress: Progress) => void,
  ) {
    this.#phase = phase
    this.#revisions = revisions
    this.#report = report
  }

  get changes(): number {
    return this.#changes
  }

  get bytes(): number {
    return this.#bytes
  }

  add(changes: readonly StoredChange[]): void {
    this.#first ??= changes[0]?.revision
    this.#changes += changes.length
    for (const { key, value } of changes) this.#bytes += key.length + value.length
    const now = performance.now()
    if (now - this.#shownAt < REPORT_MS) return
    this.#shownAt = now
    this.#report(this.#at(changes.at(-1)?.revision ?? 0))
  }

  /** The last report: all of it. */
  end(): void {
    this.#report(this.#at(this.#revisions.to))
  }

  #at(revision: Revision): Progress {
    const { from, to } = this.#revisions
    const first = from > 0 ? from : (this.#first ?? to)
    const percent = to <= first ? 100 : Math.floor(((revision - first) / (to - first)) * 100)
    const seconds = Math.max(0.001, (performance.now() - this.#startedAt) / 1000)
    const changesPerSecond = Math.round(this.#changes / seconds)
    return { phase: this.#phase, changes: this.#changes, bytes: this.#bytes, percent, changesPerSecond }
  }
}

const REPORT_MS = 500
