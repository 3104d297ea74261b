import type { BackendManager } from '#konnectivity/server/backend-manager.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'
import type { ServerStatus } from '#konnectivity/server/status.ts'
import type { Route } from '#konnectivity/tunnel/http-endpoint.ts'
import { renderMetrics } from '#konnectivity/tunnel/metrics.ts'

const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8'

/** Health: upstream's paths. Ready means that a dial could be served, by any strategy. */
export function healthRoutes(manager: BackendManager, metrics: ServerMetrics): Readonly<Record<string, Route>> {
  const alive: Route = () => ({ status: 200, body: 'ok' })
  const ready: Route = () =>
    manager.list().length > 0 ? { status: 200, body: 'ok' } : { status: 500, body: 'no connection to any proxy agent' }
  return { '/healthz': alive, '/livez': alive, '/readyz': ready, '/ready': ready, '/metrics': metricsRoute(metrics) }
}

/** Admin: metrics, and the state as JSON (ours). */
export function adminRoutes(metrics: ServerMetrics, status: () => ServerStatus): Readonly<Record<string, Route>> {
  return {
    '/metrics': metricsRoute(metrics),
    '/status': () => ({ status: 200, body: `${JSON.stringify(status())}\n`, contentType: 'application/json' }),
  }
}

function metricsRoute(metrics: ServerMetrics): Route {
  return () => ({ status: 200, body: renderMetrics(metrics), contentType: PROMETHEUS_TEXT })
}
