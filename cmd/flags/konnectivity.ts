import type { FlagTable } from '#cmd/flags/flag.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { outputFlags } from '#cmd/flags/shared.ts'

const port = { min: 0, max: 65_535 } as const
const NO_PPROF = 'no effect: there is no pprof here; --debug prints what happens in detail'
const NO_CHANNELS = 'no effect: buffers are bounded in bytes'
const JSON_ONLY = 'no effect: requests to the API server are JSON'

/** Of both programs; most have no use here and are accepted so that command lines and manifests of upstream's work. */
const common = {
  'enable-profiling': flag.bool(NO_PPROF),
  'enable-contention-profiling': flag.bool(NO_PPROF),
  'warn-on-channel-limit': flag.bool(NO_CHANNELS, { default: true }),
  'kube-api-content-type': flag.text(JSON_ONLY, { default: 'application/json' }),
  'buffer-limit': flag.integer(
    'MiB that readers that keep up may have in flight together, beyond 128 KiB for each connection (not upstream)',
    { default: 256, min: 1, max: 65_536 },
  ),
  v: flag.integer('level of detail, as klog counts it: 4 and above is --debug', { default: 0, min: 0, max: 20 }),
  logtostderr: flag.bool('no effect: the log always goes there', { default: true }),
} satisfies FlagTable

/** Upstream's flags of proxy-server; those that are not upstream's, and defaults that differ, say so. */
export const konnectivityServerFlags = {
  ...outputFlags({ verbose: true }),
  mode: flag.choice('protocol of the frontend (upstream: grpc)', ['http-connect', 'grpc'], { default: 'http-connect' }),
  'uds-name': flag.optionalPath('unix socket of the frontend; without it the frontend listens on --server-port'),
  'delete-existing-uds-file': flag.bool('take the place of a socket that is there', { default: true }),
  'uds-gid': flag.integer('group that may connect to the socket, -1 for none (not upstream)', { default: -1, min: -1 }),
  'server-port': flag.integer('TCP port of the frontend', { default: 8090, ...port }),
  'server-bind-address': flag.optionalText('address of the frontend'),
  'server-cert': flag.optionalPath('certificate of the frontend; read again when it changes'),
  'server-key': flag.optionalPath('key of the frontend'),
  'server-ca-cert': flag.optionalPath('authority of the client certificates of the frontend'),
  'agent-port': flag.integer('port for the agents (upstream: 8091)', { default: 8132, ...port }),
  'agent-bind-address': flag.optionalText('address for the agents (default: all)'),
  'cluster-cert': flag.optionalPath('certificate that agents see (required); read again when it changes'),
  'cluster-key': flag.optionalPath('key of that certificate (required)'),
  'cluster-ca-cert': flag.optionalPath(
    "authority of the agents' certificates (required unless agents prove themselves by tokens)",
  ),
  'admin-port': flag.integer('port of metrics and status (upstream: 8095)', { default: 8133, ...port }),
  'admin-bind-address': flag.text('address of metrics and status', { default: '127.0.0.1' }),
  'health-port': flag.integer('port of the health checks', { default: 8092, ...port }),
  'health-bind-address': flag.text('address of the health checks (upstream: all)', { default: '127.0.0.1' }),
  'keepalive-time': flag.duration(
    'time between pings of upstream agents (upstream: 1h); agents of ours are pinged every 5s',
    { defaultMs: 35_000, minMs: 1_000 },
  ),
  'frontend-keepalive-time': flag.duration('time between keepalive probes of frontends over TCP', {
    defaultMs: 3_600_000,
    minMs: 1_000,
  }),
  'server-id': flag.optionalText('name of this server, unique in the cluster (default: random)', {
    env: 'PROXY_SERVER_ID',
  }),
  'server-count': flag.integer('number of servers in the cluster', { default: 1, min: 1, max: 1_000 }),
  'agent-namespace': flag.optionalText('namespace of the service account that agents have a token of'),
  'agent-service-account': flag.optionalText('service account that agents have a token of'),
  'authentication-audience': flag.optionalText("audience of the agents' tokens"),
  kubeconfig: flag.optionalPath(
    'cluster that is asked about tokens and keeps the leases; without it, the one that this is a pod of',
  ),
  'kubeconfig-qps': flag.text('no effect: agents that connect at once are limited in number instead', { default: '0' }),
  'kubeconfig-burst': flag.text('no effect, as --kubeconfig-qps', { default: '0' }),
  'proxy-strategies': flag.list('order in which an agent is looked for (upstream: default)', {
    default: ['destHost', 'defaultRoute', 'default'],
  }),
  'cipher-suites': flag.list('cipher suites of TLS 1.2, by their IANA names; only those with forward secrecy'),
  'tls-min-version': flag.text('VersionTLS12 or VersionTLS13; older ones are refused', { default: 'VersionTLS12' }),
  'xfr-channel-size': flag.integer(NO_CHANNELS, { default: 10, min: 1 }),
  'enable-lease-controller': flag.bool('keep a Lease for this server, and collect those of servers that are gone'),
  'lease-namespace': flag.text('namespace of the leases', { default: 'kube-system' }),
  'lease-label': flag.text('labels of the leases', { default: 'k8s-app=konnectivity-server' }),
  'graceful-shutdown-timeout': flag.duration(
    'how long open connections go on after a stop; one without traffic for 1s is closed before',
    { defaultMs: 0 },
  ),
  'backend-dial-timeout': flag.duration(
    'longest wait for an agent to connect, at most 25s; 0 stands for that (upstream: no limit)',
    { defaultMs: 25_000 },
  ),
  'handover-socket': flag.optionalText(
    'unix socket over which a successor takes over (default: <uds-name>.handover; "none": never; not upstream)',
  ),
  'handover-timeout': flag.duration('how long open connections go on after a successor took over (not upstream)', {
    defaultMs: 30_000,
  }),
  'agent-wait-timeout': flag.duration('how long after the start a dial waits for the first agent (not upstream)', {
    defaultMs: 10_000,
  }),
  ...common,
} satisfies FlagTable

/** Upstream's flags of proxy-agent; those that are not upstream's, and defaults that differ, say so. */
export const konnectivityAgentFlags = {
  ...outputFlags({ verbose: true }),
  'proxy-server-host': flag.list('hosts of the servers, repeated or comma-separated (required; upstream: one)'),
  'proxy-server-port': flag.integer('port of the servers (upstream: 8091)', { default: 8132, min: 1, max: 65_535 }),
  'alpn-proto': flag.list('further ALPN protocols to offer the servers, before h2'),
  'ca-cert': flag.optionalPath(
    'authority of the certificates of the servers; read again at each connect (default: those of the host)',
  ),
  'agent-cert': flag.optionalPath('client certificate of the agent; read again at each connect'),
  'agent-key': flag.optionalPath('key of that certificate'),
  'agent-id': flag.optionalText('name of the agent (default: the name of the host; upstream: random)', {
    env: 'PROXY_AGENT_ID',
  }),
  'agent-identifiers': flag.optionalText(
    'what is behind this agent, for example ipv4=10.0.0.5&host=name&default-route=true',
  ),
  'service-account-token-path': flag.optionalPath('token that proves who the agent is; read again at each connect'),
  'sync-interval': flag.duration('pause between tries to find servers behind an address that are not connected yet', {
    defaultMs: 1_000,
    minMs: 10,
  }),
  'sync-interval-cap': flag.duration('longest such pause; a server that is gone is looked for at least every 2s', {
    defaultMs: 10_000,
    minMs: 10,
  }),
  'sync-forever': flag.bool('go on looking when as many servers are connected as there should be'),
  'probe-interval': flag.duration('no effect: a lost connection is noticed at once', { defaultMs: 1_000 }),
  'keepalive-time': flag.duration(
    'time between pings of upstream servers, at least 30s (upstream: 1h); servers of ours are pinged every 5s',
    { defaultMs: 35_000 },
  ),
  'count-server-leases': flag.bool('count servers by their Leases instead of asking them'),
  'lease-namespace': flag.text('namespace of the leases', { default: 'kube-system' }),
  'lease-label-selector': flag.text('labels of the leases', { default: 'k8s-app=konnectivity-server' }),
  'lease-label': flag.optionalText('old name of --lease-label-selector', { hidden: true }),
  'server-count-source': flag.choice(
    "with leases: their count (default), or the larger of theirs and the servers' own",
    ['default', 'max'],
    {
      default: 'default',
    },
  ),
  kubeconfig: flag.optionalPath('cluster that has the leases; without it, the one that this is a pod of'),
  'xfr-channel-size': flag.integer(NO_CHANNELS, { default: 150, min: 1 }),
  'health-server-host': flag.text('address of health checks and metrics (upstream: all)', { default: '127.0.0.1' }),
  'health-server-port': flag.integer('port of health checks and metrics', { default: 8093, ...port }),
  'admin-bind-address': flag.text('address of metrics and status', { default: '127.0.0.1' }),
  'admin-server-port': flag.integer('port of metrics and status', { default: 8094, ...port }),
  'drain-timeout': flag.duration('how long open connections go on after a stop (not upstream)', {
    defaultMs: 30_000,
  }),
  ...common,
} satisfies FlagTable
