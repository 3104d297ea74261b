import { once } from 'node:events'
import http from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import { EXPOSITION_TYPE } from '#pkg/kine/metrics/exposition.ts'
import type { HealthQuestion } from '#pkg/kine/metrics/health.ts'
import { listen } from '#pkg/kine/server/listen.ts'
import type { ListenAddress } from '#pkg/kine/server/listen.ts'

/** What is served. */
export interface MetricsDeps {
  /** Text of /metrics; it comes also while the database is away. */
  readonly metrics: () => Promise<string>
  /** Why the server is not healthy, empty if it is. */
  readonly health: (question: HealthQuestion) => Promise<string>
}

/** Serves /metrics and /health until closed. @throws KineError */
export async function serveMetrics(address: ListenAddress, deps: MetricsDeps): Promise<AsyncDisposable> {
  const server = http.createServer((request, response) => {
    void answer(request.url ?? '', request.method, response, deps).catch(() => response.destroy())
  })
  await listen(server, address)
  return { [Symbol.asyncDispose]: () => closeServer(server) }
}

async function answer(
  url: string,
  method: string | undefined,
  response: ServerResponse,
  deps: MetricsDeps,
): Promise<void> {
  const [path = '', query = ''] = url.split('?', 2)
  const send = (status: number, type: string, body: string): void => {
    response.writeHead(status, { 'content-type': type }).end(body)
  }
  if (method !== 'GET') send(405, 'text/plain', 'Method Not Allowed\n')
  else if (path === '/metrics') send(200, EXPOSITION_TYPE, await deps.metrics())
  else if (path === '/health') {
    const params = new URLSearchParams(query)
    const serializable = params.get('serializable') === 'true'
    const reason = await deps.health({ serializable, excludedAlarms: params.getAll('exclude') })
    // Field by field what etcd answers: `health` is text.
    send(
      reason === '' ? 200 : 503,
      'application/json',
      JSON.stringify({ health: reason === '' ? 'true' : 'false', reason }),
    )
  } else send(404, 'text/plain', 'see /metrics and /health\n')
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
