import { once } from 'node:events'
import http from 'node:http'
import type { Server } from 'node:http'
import { listen } from '#pkg/kine/server/listen.ts'
import type { ListenAddress } from '#pkg/kine/server/listen.ts'

/** Figures read when somebody asks. */
export interface Gauges {
  readonly sizeBytes: number
  readonly sizeInUseBytes: number
  readonly revision: number
  readonly compactRevision: number
  readonly keys: number
  readonly watchers: number
  readonly sessions: number
  readonly ringBytes: number
}

/** Upper bounds of etcd_disk_backend_commit_duration_seconds, as in etcd. */
const COMMIT_BUCKETS_SECONDS = [
  0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192,
]

/** Counters of the process, under etcd's names where etcd has them. */
export class Metrics {
  readonly #handled = new Map<string, number>()
  readonly #commitBuckets = COMMIT_BUCKETS_SECONDS.map(() => 0)
  #commits = 0
  #commitSeconds = 0

  countHandled(path: string, code: number): void {
    const [, service = '', method = ''] = path.split('/')
    const labels = `grpc_service="${label(service)}",grpc_method="${label(method)}",grpc_code="${code}"`
    this.#handled.set(labels, (this.#handled.get(labels) ?? 0) + 1)
  }

  observeCommit(durationMs: number): void {
    const seconds = durationMs / 1000
    this.#commits += 1
    this.#commitSeconds += seconds
    COMMIT_BUCKETS_SECONDS.forEach((bound, i) => {
      if (seconds <= bound) this.#commitBuckets[i] = (this.#commitBuckets[i] ?? 0) + 1
    })
  }

  /** Prometheus text format. */
  render(gauges: Gauges): string {
    const commit = 'etcd_disk_backend_commit_duration_seconds'
    const lines = [
      `# TYPE ${commit} histogram`,
      ...COMMIT_BUCKETS_SECONDS.map((bound, i) => `${commit}_bucket{le="${bound}"} ${this.#commitBuckets[i] ?? 0}`),
      `${commit}_bucket{le="+Inf"} ${this.#commits}`,
      `${commit}_sum ${this.#commitSeconds}`,
      `${commit}_count ${this.#commits}`,
      '# TYPE grpc_server_handled_total counter',
      ...[...this.#handled].map(([labels, count]) => `grpc_server_handled_total{${labels}} ${count}`),
      ...gauge('etcd_mvcc_db_total_size_in_bytes', gauges.sizeBytes),
      ...gauge('etcd_mvcc_db_total_size_in_use_in_bytes', gauges.sizeInUseBytes),
      ...gauge('etcd_debugging_mvcc_current_revision', gauges.revision),
      ...gauge('etcd_debugging_mvcc_compact_revision', gauges.compactRevision),
      ...gauge('etcd_debugging_mvcc_keys_total', gauges.keys),
      ...gauge('etcd_debugging_mvcc_watcher_total', gauges.watchers),
      ...gauge('kine_grpc_sessions', gauges.sessions),
      ...gauge('kine_ring_bytes', gauges.ringBytes),
      ...gauge('process_resident_memory_bytes', process.memoryUsage.rss()),
    ]
    return `${lines.join('\n')}\n`
  }
}

/** Serves /metrics and /health until closed. @throws KineError */
export async function serveMetrics(
  address: ListenAddress,
  metrics: Metrics,
  gauges: () => Promise<Gauges>,
): Promise<AsyncDisposable> {
  const server = http.createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type }).end(body)
    }
    if (request.url !== '/metrics' && request.url !== '/health') {
      answer(404, 'text/plain', 'see /metrics and /health\n')
      return
    }
    const health = request.url === '/health'
    gauges().then(
      (values) =>
        health
          ? answer(200, 'application/json', '{"health":"true","reason":""}')
          : answer(200, 'text/plain; version=0.0.4', metrics.render(values)),
      () => answer(503, 'application/json', '{"health":"false","reason":"the database does not answer"}'),
    )
  })
  await listen(server, address)
  return { [Symbol.asyncDispose]: () => closeServer(server) }
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

function gauge(name: string, value: number): string[] {
  return [`# TYPE ${name} gauge`, `${name} ${value}`]
}

/** A path comes from the client: nothing of it may break the line. */
function label(text: string): string {
  return text.replace(/[^\w.]/g, '_').slice(0, 64)
}
