import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { Logger } from '#pkg/log/logger.ts'
import { KonnectivityAgent } from '#konnectivity/agent/agent.ts'
import { agentAdminRoutes, agentHealthRoutes } from '#konnectivity/agent/endpoints.ts'
import { LeaseCounter } from '#konnectivity/agent/lease-counter.ts'
import type { FollowedLease } from '#konnectivity/agent/lease-counter.ts'
import type { AgentMetrics } from '#konnectivity/agent/metrics.ts'
import type { AgentTls, DiscoveryOptions, KonnectivityAgentDeps, ServerAddress } from '#konnectivity/agent/options.ts'
import { HttpEndpoint } from '#konnectivity/tunnel/http-endpoint.ts'
import { readPem, TunnelFileError } from '#konnectivity/tunnel/pem.ts'

/** Options of `k0s konnectivity-agent`: upstream's flags of the same names in camel case. */
export interface KonnectivityAgentRunOptions {
  /** Repeatable, or comma separated (upstream: one): each gets a connection. */
  readonly proxyServerHost: readonly string[]
  /** Default 8132 as k0s (upstream: 8091). */
  readonly proxyServerPort?: number
  /** Default: the authorities that Node.js trusts. This and the following two are read again at each connect. */
  readonly caCert?: string
  /** With its key, or a token instead. */
  readonly agentCert?: string
  readonly agentKey?: string
  readonly alpnProtocols?: readonly string[]
  /** Default: the host's name. */
  readonly agentId?: string
  /** URL query: ipv4, ipv6, host, cidr, default-route. */
  readonly agentIdentifiers?: string
  /** Read again at each connect. */
  readonly serviceAccountTokenPath?: string
  readonly discovery?: DiscoveryOptions
  readonly serverCountSource?: 'default' | 'max'
  readonly keepaliveMs?: number
  readonly bufferLimitBytes?: number
  readonly healthServerHost?: string
  /** Default 8093; health and metrics. */
  readonly healthServerPort?: number
  readonly adminBindAddress?: string
  /** Default 8094; metrics and status. */
  readonly adminServerPort?: number
  /** Ours: how long open connections are served after a stop was asked for, milliseconds. Default 30 s. */
  readonly drainTimeoutMs?: number
}

/** Follows the servers' Leases until `signal` aborts. */
export type FollowLeases = (deps: {
  readonly onLeases: (leases: readonly FollowedLease[]) => void
  readonly metrics: AgentMetrics
  readonly signal: AbortSignal
  readonly log: Logger
}) => Promise<void>

/** Collaborators of the command. */
export interface KonnectivityAgentRunDeps {
  readonly log: Logger
  /** Begins the end: DRAIN, and what is open may go on for `drainTimeoutMs`. */
  readonly signal: AbortSignal
  /** Cuts that short. */
  readonly now?: AbortSignal
  /** Upstream's --count-server-leases. */
  readonly followLeases?: FollowLeases
}

/**
 * Serves until `signal` aborts, then drains and stops.
 *
 * @throws TunnelListenError or TunnelFileError when it cannot start.
 */
export async function runKonnectivityAgent(
  options: KonnectivityAgentRunOptions,
  { log, signal, now, followLeases }: KonnectivityAgentRunDeps,
): Promise<void> {
  const leases = followLeases && new LeaseCounter({ onChange: () => agent.serverCountChanged() })
  const agent = await createAgent(options, { log, ...(leases && { leases }) })
  const health = new HttpEndpoint('agent health', agentHealthRoutes(agent))
  const admin = new HttpEndpoint('agent admin', agentAdminRoutes(agent))
  await using cleanup = new AsyncDisposableStack()
  cleanup.defer(() => health.stop())
  cleanup.defer(() => admin.stop())
  cleanup.defer(() => agent.stop({ drainMs: options.drainTimeoutMs ?? 30_000, ...(now && { now }) }))
  await health.start(options.healthServerHost ?? '127.0.0.1', options.healthServerPort ?? 8093)
  await admin.start(options.adminBindAddress ?? '127.0.0.1', options.adminServerPort ?? 8094)
  const onLeases = (list: readonly FollowedLease[]): void => leases?.update(list)
  const following = followLeases?.({ onLeases, metrics: agent.metrics, signal, log })
  cleanup.defer(async () => following)
  agent.start()
  if (!signal.aborted) await once(signal, 'abort')
}

async function createAgent(
  options: KonnectivityAgentRunOptions,
  deps: KonnectivityAgentDeps,
): Promise<KonnectivityAgent> {
  const query = new URLSearchParams(options.agentIdentifiers ?? '')
  const { serviceAccountTokenPath: tokenPath, discovery, serverCountSource, keepaliveMs, bufferLimitBytes } = options
  return new KonnectivityAgent(
    {
      nodeName: options.agentId ?? hostname(),
      identifiers: {
        ipv4: query.getAll('ipv4'),
        ipv6: query.getAll('ipv6'),
        host: query.getAll('host'),
        cidr: query.getAll('cidr'),
        defaultRoute: query.get('default-route') === 'true',
      },
      servers: servers(options),
      tls: await readTls(options),
      readTls: () => readTls(options),
      ...(discovery && { discovery }),
      ...(serverCountSource && { serverCountSource }),
      ...(keepaliveMs !== undefined && { keepaliveMs }),
      ...(bufferLimitBytes !== undefined && { bufferLimitBytes }),
      ...(tokenPath !== undefined && { readToken: () => readToken(tokenPath) }),
    },
    deps,
  )
}

async function readTls(options: KonnectivityAgentRunOptions): Promise<AgentTls> {
  const read = async (path: string | undefined, flag: string): Promise<string | undefined> =>
    path === undefined ? undefined : readPem(path, flag)
  const [caPem, certPem, keyPem] = await Promise.all([
    read(options.caCert, 'ca-cert'),
    read(options.agentCert, 'agent-cert'),
    read(options.agentKey, 'agent-key'),
  ])
  return { caPem, certPem, keyPem, alpnProtocols: options.alpnProtocols }
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
