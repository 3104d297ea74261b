import type { Sample } from '#pkg/kine/metrics/exposition.ts'

/** Counts observations by size. What it costs is one comparison for each bound below the value. */
export class Histogram {
  readonly #bounds: readonly number[]
  /** By bound, not cumulated; the last one is of what is above all bounds. */
  readonly #counts: number[]
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = [...bounds, Infinity].map(() => 0)
  }

  observe(value: number): void {
    let i = 0
    for (const bound of this.#bounds) {
      if (value <= bound) break
      i += 1
    }
    this.#counts[i] = (this.#counts[i] ?? 0) + 1
    this.#sum += value
  }

  samples(labels: Readonly<Record<string, string>> = {}): readonly Sample[] {
    let below = 0
    const buckets = this.#counts.map((count, i): Sample => {
      below += count
      const bound = this.#bounds[i]
      return {
        suffix: '_bucket',
        labels: { ...labels, le: bound === undefined ? '+Inf' : String(bound) },
        value: below,
      }
    })
    return [...buckets, { suffix: '_sum', labels, value: this.#sum }, { suffix: '_count', labels, value: below }]
  }
}

/** Bounds `start`, `start` * `factor`, …; as Prometheus' Go client makes them. */
export function exponentialBounds(start: number, factor: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => start * factor ** i)
}

/** Of durations of disk and database in seconds: 1 ms to 8.192 s, as in etcd and upstream kine. */
export const DISK_SECONDS = exponentialBounds(0.001, 2, 14)
