import type { KonnectivityAgent } from '#konnectivity/agent/agent.ts'
import type { Route } from '#konnectivity/tunnel/http-endpoint.ts'
import { renderMetrics } from '#konnectivity/tunnel/metrics.ts'

/** Health: upstream's paths and texts. Ready means that a server is connected. */
export function agentHealthRoutes(agent: KonnectivityAgent): Readonly<Record<string, Route>> {
  const ready: Route = (query) => {
    const connected = agent.status().some(({ state }) => state === 'connected')
    if (!connected) return { status: 503, body: '[+]ping ok\n[-]server-connected failed: no servers connected\n' }
    return { status: 200, body: query.has('verbose') ? '[+]ping ok\n[+]server-connected ok\ncheck passed\n' : 'ok' }
  }
  const alive: Route = () => ({ status: 200, body: 'ok' })
  return { '/healthz': alive, '/livez': alive, '/readyz': ready, '/ready': ready, '/metrics': metrics(agent) }
}

/** Admin: metrics, and the state as JSON (ours). */
export function agentAdminRoutes(agent: KonnectivityAgent): Readonly<Record<string, Route>> {
  return {
    '/metrics': metrics(agent),
    '/status': () => ({ status: 200, body: `${JSON.stringify(agent.status())}\n`, contentType: 'application/json' }),
  }
}

function metrics(agent: KonnectivityAgent): Route {
  return () => ({ status: 200, body: renderMetrics(agent.metrics) })
}
