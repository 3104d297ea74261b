import type { Backend } from '#pkg/kine/backend.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import { ObservedDialect } from '#pkg/kine/dialect/observed-dialect.ts'
import { DatabaseMetrics } from '#pkg/kine/metrics/database-metrics.ts'
import { renderFamilies } from '#pkg/kine/metrics/exposition.ts'
import { GrpcMetrics } from '#pkg/kine/metrics/grpc-metrics.ts'
import { whyUnhealthy } from '#pkg/kine/metrics/health.ts'
import { ObservedStore } from '#pkg/kine/metrics/observed-store.ts'
import { processFamilies } from '#pkg/kine/metrics/process-metrics.ts'
import type { MetricsDeps } from '#pkg/kine/metrics/serve.ts'
import { StoreCounters } from '#pkg/kine/metrics/store-counters.ts'
import { storeFamilies } from '#pkg/kine/metrics/store-families.ts'
import type { Gauges } from '#pkg/kine/metrics/store-families.ts'
import type { GrpcServer, GrpcServerDeps, HandledCall, Methods } from '#pkg/kine/server/grpc-server.ts'
import { SizeAlarm } from '#pkg/kine/server/size-alarm.ts'
import { GrpcCode } from '#pkg/kine/server/status.ts'
import { SlowLog } from '#pkg/kine/slow-log.ts'
import type { Store } from '#pkg/kine/store.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** What an operator sets. */
export interface ObservationOptions {
  /** Calls and requests that take longer are logged, milliseconds; 0: none. */
  readonly slowMs: number
  /** 0: none. */
  readonly quotaBytes: number
}

/** How long /metrics waits for the size of a database that is away. */
const SIZE_TIMEOUT_MS = 2_000
/** Asked for by an operator, who knows that it takes long. */
const LONG = '/etcdserverpb.Maintenance/Defragment'

/** Everything that watches one kine: counters, slow log, size. It sits around dialect, store and methods. */
export class Observation {
  readonly #options: ObservationOptions
  readonly #log: Logger
  readonly #counters = new StoreCounters()
  readonly #database = new DatabaseMetrics()
  readonly #slowCalls: SlowLog
  readonly #slowRequests: SlowLog
  #grpc: GrpcMetrics | undefined

  constructor(options: ObservationOptions, log: Logger) {
    const deps = { log, now: () => performance.now() }
    this.#options = options
    this.#log = log
    this.#slowCalls = new SlowLog('slow database call', options.slowMs, deps)
    // In etcd's words.
    this.#slowRequests = new SlowLog('apply request took too long', options.slowMs, deps)
  }

  aroundDialect(dialect: Dialect): Dialect {
    return new ObservedDialect(dialect, { metrics: this.#database, counters: this.#counters, slow: this.#slowCalls })
  }

  aroundStore(store: Backend): Backend {
    return new ObservedStore(store, this.#counters)
  }

  onCommit(durationMs: number): void {
    this.#database.observeCommit(durationMs)
  }

  /** What a server with these methods reports. */
  aroundMethods(methods: Methods): GrpcServerDeps {
    const metrics = new GrpcMetrics(methods.unary.keys(), methods.streams.keys())
    this.#grpc = metrics
    return {
      methods,
      onStarted: (path) => metrics.started(path),
      onHandled: (call) => {
        metrics.handled(call.path, call.code, call.durationMs)
        if (call.durationMs >= this.#slowRequests.thresholdMs) this.#onSlow(call)
      },
    }
  }

  /** Looks at the size of the store from now on. */
  watchSize(store: Store): Disposable {
    const { quotaBytes } = this.#options
    const alarm = new SizeAlarm({ quotaBytes }, { store, writes: () => this.#counters.committed, log: this.#log })
    void alarm.look()
    return alarm
  }

  /** What is served over HTTP. */
  endpoints(store: Store, server: GrpcServer): MetricsDeps {
    return {
      metrics: async () => {
        const gauges = await this.#gauges(store, server)
        return renderFamilies([
          ...storeFamilies(gauges, this.#counters, store.alarms),
          ...this.#database.families(),
          ...(this.#grpc?.families() ?? []),
          ...(await processFamilies()),
        ])
      },
      health: async (question) => {
        const reason = await whyUnhealthy(store, question)
        if (reason === '') this.#counters.healthChecksPassed += 1
        else this.#counters.healthChecksFailed += 1
        return reason
      },
    }
  }

  #onSlow({ path, code, durationMs, requestBytes }: HandledCall): void {
    if (requestBytes === undefined || path === LONG) return
    this.#counters.slowRequests += 1
    // Why is said once, not by every request.
    if (code === GrpcCode.unavailable) return
    this.#slowRequests.warn(durationMs, { method: path.slice(path.lastIndexOf('.') + 1), code, requestBytes })
  }

  async #gauges(store: Store, server: GrpcServer): Promise<Gauges> {
    const { hub, memberId, revision, compactRevision, keys, ringBytes } = store
    return {
      size: await sizeOf(store),
      memberId,
      revision,
      compactRevision,
      keys,
      ringBytes,
      watchStreams: hub.streams,
      watchers: hub.watchers,
      slowWatchers: hub.slowWatchers,
      eventsSent: hub.eventsSent,
      sessions: server.sessions,
      ...server.traffic,
      quotaBytes: this.#options.quotaBytes,
    }
  }
}

/** Undefined when the database does not answer. */
async function sizeOf(store: Store): Promise<Gauges['size']> {
  const answered = new AbortController()
  try {
    const late = sleep(SIZE_TIMEOUT_MS, { signal: answered.signal }).then(() => undefined)
    const status = await Promise.race([store.status(), late])
    return status && { bytes: status.sizeBytes, inUseBytes: status.sizeInUseBytes }
  } catch {
    return undefined
  } finally {
    answered.abort()
  }
}
