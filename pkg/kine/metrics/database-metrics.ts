import type { Family } from '#pkg/kine/metrics/exposition.ts'
import { DISK_SECONDS, Histogram, exponentialBounds } from '#pkg/kine/metrics/histogram.ts'

/** Kinds of calls to the database, in metrics and logs. */
export type DatabaseOperation =
  | 'open'
  | 'read_index'
  | 'append'
  | 'read_values'
  | 'read_versions'
  | 'read_log'
  | 'read_upstream'
  | 'prune'
  | 'size'
  | 'defragment'
  | 'head'
  | 'lock'
  | 'leases_after'

interface OperationCounts {
  readonly labels: Readonly<Record<string, string>>
  readonly seconds: Histogram
  count: number
}

/** Calls to the database, under the names of upstream kine where it has them. */
export class DatabaseMetrics {
  /** Appends that found another writer's commit and were made again. */
  conflicts = 0
  compactions = 0
  failedCompactions = 0
  /** Rows that compactions have deleted. */
  compactedRows = 0
  /** Seconds since 1970, 0 before the first one. */
  lastCompaction = 0
  defragmenting = 0
  readonly #commits = new Histogram(DISK_SECONDS)
  readonly #defragmentations = new Histogram(exponentialBounds(0.1, 2, 13))
  readonly #operations = new Map<string, OperationCounts>()

  /** `errorCode` is empty for a call that was successful. */
  observe(operation: DatabaseOperation, errorCode: string, durationMs: number): void {
    const counts = this.#operation(operation, errorCode)
    counts.count += 1
    counts.seconds.observe(durationMs / 1000)
  }

  observeCommit(durationMs: number): void {
    this.#commits.observe(durationMs / 1000)
  }

  observeDefragmentation(durationMs: number): void {
    this.#defragmentations.observe(durationMs / 1000)
  }

  families(): readonly Family[] {
    return [...this.#disk(), ...this.#sql(), ...this.#compaction()]
  }

  #operation(name: string, errorCode: string): OperationCounts {
    const key = errorCode === '' ? name : `${name} ${errorCode}`
    const known = this.#operations.get(key)
    if (known !== undefined) return known
    const labels = { error_code: errorCode, name }
    const counts = { labels, seconds: new Histogram(DISK_SECONDS), count: 0 }
    this.#operations.set(key, counts)
    return counts
  }

  /** A commit is write, fsync and acknowledgement in one: it stands for both of etcd's steps. */
  #disk(): readonly Family[] {
    const commits = this.#commits.samples()
    return [
      {
        name: 'etcd_disk_backend_commit_duration_seconds',
        type: 'histogram',
        help: 'Time that the database takes for a commit, in seconds.',
        samples: commits,
      },
      {
        name: 'etcd_disk_wal_fsync_duration_seconds',
        type: 'histogram',
        help: 'The same as etcd_disk_backend_commit_duration_seconds: there is one log, and a commit ends with its fsync.',
        samples: commits,
      },
      {
        name: 'etcd_disk_backend_defrag_duration_seconds',
        type: 'histogram',
        help: 'Time that defragmentations take, in seconds.',
        samples: this.#defragmentations.samples(),
      },
      {
        name: 'etcd_disk_defrag_inflight',
        type: 'gauge',
        help: 'Whether a defragmentation runs: 1 if so, else 0.',
        samples: [{ value: this.defragmenting }],
      },
    ]
  }

  #sql(): readonly Family[] {
    const operations = [...this.#operations.values()]
    return [
      {
        name: 'kine_sql_total',
        type: 'counter',
        help: 'Calls to the database by operation; error_code is empty for those that were successful.',
        samples: operations.map(({ labels, count }) => ({ labels, value: count })),
      },
      {
        name: 'kine_sql_time_seconds',
        type: 'histogram',
        help: 'Time of calls to the database by operation, in seconds.',
        samples: operations.flatMap(({ labels, seconds }) => seconds.samples(labels)),
      },
      {
        name: 'kine_insert_errors_total',
        type: 'counter',
        help: 'Commits made again because another instance had committed first.',
        samples: [{ labels: { retriable: 'true' }, value: this.conflicts }],
      },
    ]
  }

  #compaction(): readonly Family[] {
    return [
      {
        name: 'kine_compact_total',
        type: 'counter',
        help: 'Compactions that deleted what they were to delete, and attempts that failed.',
        samples: [
          { labels: { result: 'success' }, value: this.compactions },
          { labels: { result: 'error' }, value: this.failedCompactions },
        ],
      },
      {
        name: 'etcd_debugging_mvcc_db_compaction_keys_total',
        type: 'counter',
        help: 'Versions of keys that compactions have deleted.',
        samples: [{ value: this.compactedRows }],
      },
      {
        name: 'etcd_debugging_mvcc_db_compaction_last',
        type: 'gauge',
        help: 'When the last compaction ended, in seconds since 1970; 0 if there was none since the start.',
        samples: [{ value: this.lastCompaction }],
      },
    ]
  }
}
