import { WINDOW_BUDGET_BYTES } from '#konnectivity/tunnel/protocol.ts'
import type { ProxyStrategy } from '#konnectivity/server/backend-manager.ts'

/**
 * Options of the tunnel server. Each is upstream's flag of the same name in camel case (`--uds-name` is `udsName`);
 * those that are not upstream's say so.
 */
export interface KonnectivityServerOptions {
  /** What kube-apiserver's EgressSelectorConfiguration names as proxyProtocol. Default http-connect (upstream: grpc). */
  readonly mode?: 'http-connect' | 'grpc'
  /** Unix socket of the frontend. Without it the frontend listens on `serverPort` with TLS client certificates. */
  readonly udsName?: string
  /** Remove a socket that an earlier run left. Default true. */
  readonly deleteExistingUdsFile?: boolean
  /** Ours: group whose members may connect to the socket (kube-apiserver's). */
  readonly udsGid?: number
  /** Frontend over TCP, only without `udsName`. Default 8090. */
  readonly serverPort?: number
  readonly serverBindAddress?: string
  readonly serverCert?: string
  readonly serverKey?: string
  /** CA of the frontend's client certificates. */
  readonly serverCaCert?: string
  /** Agents. Default 8132 as k0s (upstream: 8091), all interfaces. */
  readonly agentPort?: number
  readonly agentBindAddress?: string
  readonly clusterCert: string
  readonly clusterKey: string
  /** CA of the agents' client certificates; undefined only with another `authenticator`. */
  readonly clusterCaCert?: string
  /** Oldest version of TLS that is spoken, on every port. Default TLSv1.2. */
  readonly tlsMinVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL's cipher list (upstream: --cipher-suites). */
  readonly ciphers?: string
  /** Time between pings of upstream agents, milliseconds. Default 35 s (upstream: 1 h). */
  readonly keepaliveMs?: number
  /**
   * Ours: what readers that keep up may have in flight together, beyond the first window of each; and, as much again, what waits
   * for readers behind upstream agents. Default 256 MiB.
   */
  readonly bufferLimitBytes?: number
  /** Time until the kernel probes a silent frontend over TCP, milliseconds. Default 1 h. */
  readonly frontendKeepaliveMs?: number
  /** Metrics and status. Default 8133 as k0s (upstream: 8095), loopback. */
  readonly adminPort?: number
  readonly adminBindAddress?: string
  /** Health. Default 8092, loopback (upstream: all interfaces). */
  readonly healthPort?: number
  readonly healthBindAddress?: string
  /** Name of this server, unique among those of the cluster. Default: random. */
  readonly serverId?: string
  /** Servers of the cluster, told to agents that look for all of them behind one address. Default 1. */
  readonly serverCount?: number
  /** Order in which an agent is looked for. Default destHost, defaultRoute, default. */
  readonly proxyStrategies?: readonly ProxyStrategy[]
  /** Longest wait for an agent's answer, milliseconds; never off. Default and maximum 25 s: kube-apiserver gives up at 30 s. */
  readonly backendDialTimeoutMs?: number
  /** How long open connections may go on after a stop was asked for, milliseconds. Default 0. */
  readonly gracefulShutdownTimeoutMs?: number
  /** Ours: unix socket over which a successor asks to take over. Default `<udsName>.handover`; '' for none. */
  readonly handoverSocket?: string
  /** Ours: how long open connections may go on after a successor took over, milliseconds. Default 30 s. */
  readonly handoverTimeoutMs?: number
  /** Ours: how long after the start a dial waits for an agent to connect, milliseconds. Default 10 s. */
  readonly agentWaitMs?: number
}

/** Defaults of the options; ports are 0-able for tests. */
export const serverDefaults = {
  mode: 'http-connect',
  deleteExistingUdsFile: true,
  serverPort: 8090,
  agentPort: 8132,
  adminPort: 8133,
  adminBindAddress: '127.0.0.1',
  healthPort: 8092,
  healthBindAddress: '127.0.0.1',
  serverCount: 1,
  bufferLimitBytes: WINDOW_BUDGET_BYTES,
  tlsMinVersion: 'TLSv1.2',
  keepaliveMs: 35_000,
  frontendKeepaliveMs: 3_600_000,
  proxyStrategies: ['destHost', 'defaultRoute', 'default'],
  backendDialTimeoutMs: 25_000,
  gracefulShutdownTimeoutMs: 0,
  handoverTimeoutMs: 30_000,
  agentWaitMs: 10_000,
} as const satisfies Partial<KonnectivityServerOptions>

/** The options with their defaults. */
export type EffectiveServerOptions = KonnectivityServerOptions &
  Required<Pick<KonnectivityServerOptions, keyof typeof serverDefaults>>
