import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { Logger } from '#pkg/log/logger.ts'
import { KonnectivityAgent } from '#konnectivity/agent/agent.ts'
import type { ServerAddress } from '#konnectivity/agent/options.ts'
import { HttpEndpoint } from '#konnectivity/tunnel/http-endpoint.ts'
import type { Route } from '#konnectivity/tunnel/http-endpoint.ts'
import { renderMetrics } from '#konnectivity/tunnel/metrics.ts'
import { readPem, TunnelFileError } from '#konnectivity/tunnel/pem.ts'

/** Options of `k0s konnectivity-agent`: upstream's flags of the same names in camel case. */
export interface KonnectivityAgentRunOptions {
  /** Repeatable, or comma separated (upstream: one): each gets a connection. */
  readonly proxyServerHost: readonly string[]
  /** Default 8132 as k0s (upstream: 8091). */
  readonly proxyServerPort?: number
  readonly caCert: string
  readonly agentCert: string
  readonly agentKey: string
  /** Default: the host's name. */
  readonly agentId?: string
  /** URL query: ipv4, ipv6, host, default-route. */
  readonly agentIdentifiers?: string
  /** Read again at each connect. */
  readonly serviceAccountTokenPath?: string
  readonly healthServerHost?: string
  /** Default 8093; health and metrics. */
  readonly healthServerPort?: number
  readonly adminBindAddress?: string
  /** Default 8094; metrics and status. */
  readonly adminServerPort?: number
  /** Ours: how long open connections are served after a stop was asked for, milliseconds. Default 30 s. */
  readonly drainTimeoutMs?: number
}

/**
 * Serves until `signal` aborts, then drains and stops.
 *
 * @throws TunnelListenError or TunnelFileError when it cannot start.
 */
export async function runKonnectivityAgent(
  options: KonnectivityAgentRunOptions,
  deps: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const agent = await createAgent(options, deps.log)
  const health = new HttpEndpoint('agent health', healthRoutes(agent))
  const admin = new HttpEndpoint('agent admin', adminRoutes(agent))
  await using cleanup = new AsyncDisposableStack()
  cleanup.defer(() => agent.stop({ drainMs: options.drainTimeoutMs ?? 30_000 }))
  cleanup.defer(() => health.stop())
  cleanup.defer(() => admin.stop())
  await health.start(options.healthServerHost ?? '127.0.0.1', options.healthServerPort ?? 8093)
  await admin.start(options.adminBindAddress ?? '127.0.0.1', options.adminServerPort ?? 8094)
  agent.start()
  if (!deps.signal.aborted) await once(deps.signal, 'abort')
}

async function createAgent(options: KonnectivityAgentRunOptions, log: Logger): Promise<KonnectivityAgent> {
  const [caPem, certPem, keyPem] = await Promise.all([
    readPem(options.caCert, 'ca-cert'),
    readPem(options.agentCert, 'agent-cert'),
    readPem(options.agentKey, 'agent-key'),
  ])
  const query = new URLSearchParams(options.agentIdentifiers ?? '')
  const tokenPath = options.serviceAccountTokenPath
  return new KonnectivityAgent(
    {
      nodeName: options.agentId ?? hostname(),
      identifiers: {
        ipv4: query.getAll('ipv4'),
        ipv6: query.getAll('ipv6'),
        host: query.getAll('host'),
        defaultRoute: query.get('default-route') === 'true',
      },
      servers: servers(options),
      tls: { caPem, certPem, keyPem },
      ...(tokenPath !== undefined && { readToken: () => readToken(tokenPath) }),
    },
    { log },
  )
}

function servers({ proxyServerHost, proxyServerPort = 8132 }: KonnectivityAgentRunOptions): ServerAddress[] {
  const hosts = proxyServerHost.flatMap((value) => value.split(',')).map((host) => host.trim())
  return hosts.filter((host) => host !== '').map((host) => ({ host, port: proxyServerPort }))
}

async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (cause) {
    throw new TunnelFileError(`cannot read the token ${path} given by --service-account-token-path`, { cause })
  }
}

function healthRoutes(agent: KonnectivityAgent): Readonly<Record<string, Route>> {
  const ready: Route = () =>
    agent.status().some(({ state }) => state === 'connected')
      ? { status: 200, body: 'ok' }
      : { status: 503, body: '[-]server-connected failed' }
  const alive: Route = () => ({ status: 200, body: 'ok' })
  return { '/healthz': alive, '/livez': alive, '/readyz': ready, '/ready': ready, '/metrics': metrics(agent) }
}

function adminRoutes(agent: KonnectivityAgent): Readonly<Record<string, Route>> {
  return {
    '/metrics': metrics(agent),
    '/status': () => ({ status: 200, body: `${JSON.stringify(agent.status())}\n`, contentType: 'application/json' }),
  }
}

function metrics(agent: KonnectivityAgent): Route {
  return () => ({ status: 200, body: renderMetrics(agent.metrics) })
}
