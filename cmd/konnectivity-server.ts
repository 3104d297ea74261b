import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { logLevelOf, outputFlags } from '#cmd/flags/shared.ts'
import { untilSignal } from '#cmd/until-signal.ts'
import { UsageError } from '#pkg/errors/usage.ts'

const strategies = ['destHost', 'defaultRoute', 'default'] as const
const port = { min: 0, max: 65_535 } as const

/** Upstream's flags (apiserver-network-proxy); those that are not upstream's say so in their description. */
const flags = {
  ...outputFlags({ verbose: true }),
  mode: flag.choice('protocol of the frontend', ['http-connect', 'grpc'], { default: 'http-connect' }),
  'uds-name': flag.optionalPath('unix socket of the frontend; without it the frontend listens on --server-port'),
  'delete-existing-uds-file': flag.bool('remove a socket that an earlier run left', { default: true }),
  'uds-gid': flag.integer('group that may connect to the socket, -1 for none (not upstream)', { default: -1, min: -1 }),
  'server-port': flag.integer('TCP port of the frontend', { default: 8090, ...port }),
  'server-bind-address': flag.optionalText('address of the frontend'),
  'server-cert': flag.optionalPath('certificate of the frontend'),
  'server-key': flag.optionalPath('key of the frontend'),
  'server-ca-cert': flag.optionalPath('authority of the client certificates of the frontend'),
  'agent-port': flag.integer('port for the agents', { default: 8132, ...port }),
  'agent-bind-address': flag.optionalText('address for the agents (default: all)'),
  'cluster-cert': flag.optionalPath('certificate that agents see (required)'),
  'cluster-key': flag.optionalPath('key of that certificate (required)'),
  'cluster-ca-cert': flag.optionalPath("authority of the agents' certificates (required)"),
  'admin-port': flag.integer('port of metrics and status', { default: 8133, ...port }),
  'admin-bind-address': flag.text('address of metrics and status', { default: '127.0.0.1' }),
  'health-port': flag.integer('port of the health checks', { default: 8092, ...port }),
  'health-bind-address': flag.text('address of the health checks', { default: '127.0.0.1' }),
  'server-id': flag.optionalText('name of this server, unique in the cluster (default: random)'),
  'server-count': flag.integer('number of servers in the cluster', { default: 1, min: 1, max: 1_000 }),
  'proxy-strategies': flag.list('order in which an agent is looked for', { default: strategies }),
  'backend-dial-timeout': flag.duration('longest wait for an agent to connect', { defaultMs: 25_000, minMs: 1 }),
  'graceful-shutdown-timeout': flag.duration('how long open connections go on after a stop', { defaultMs: 0 }),
}

export const konnectivityServer = defineCommand({
  id: 'konnectivity-server',
  summary: 'Run the tunnel server that workers dial',
  description: 'A controller runs it by itself. On its own it takes the flags of the upstream proxy-server.',
  examples: [
    {
      description: 'For an API server on the same host',
      command:
        'konnectivity-server --uds-name=/run/tunnel.sock --cluster-cert=tls.crt --cluster-key=tls.key --cluster-ca-cert=ca.crt',
    },
  ],
  flags,
  withoutOclif: true,
  run: async ({ flags: given }) => {
    const options = {
      mode: given.mode,
      ...defined({
        udsName: given['uds-name'],
        udsGid: given['uds-gid'] === -1 ? undefined : given['uds-gid'],
        serverBindAddress: given['server-bind-address'],
        serverCert: given['server-cert'],
        serverKey: given['server-key'],
        serverCaCert: given['server-ca-cert'],
        agentBindAddress: given['agent-bind-address'],
        serverId: given['server-id'],
      }),
      deleteExistingUdsFile: given['delete-existing-uds-file'],
      serverPort: given['server-port'],
      agentPort: given['agent-port'],
      clusterCert: required('cluster-cert', given['cluster-cert']),
      clusterKey: required('cluster-key', given['cluster-key']),
      clusterCaCert: required('cluster-ca-cert', given['cluster-ca-cert']),
      adminPort: given['admin-port'],
      adminBindAddress: given['admin-bind-address'],
      healthPort: given['health-port'],
      healthBindAddress: given['health-bind-address'],
      serverCount: given['server-count'],
      proxyStrategies: given['proxy-strategies'].map(strategyOf),
      backendDialTimeoutMs: given['backend-dial-timeout'],
      gracefulShutdownTimeoutMs: given['graceful-shutdown-timeout'],
    }
    const [{ runKonnectivityServer }, { createLogger }] = await Promise.all([
      import('#konnectivity/server/run.ts'),
      import('#pkg/log/winston.ts'),
    ])
    const log = createLogger({ level: logLevelOf(given) })
    await untilSignal((signal) => runKonnectivityServer(options, { log, signal }))
  },
})

/** A flag that has no default but must be there. @throws UsageError */
export function required(name: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`--${name} is required: it takes a path`)
  return value
}

/** Without the keys whose value is undefined: options have them or have not. */
export function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}

function strategyOf(name: string): (typeof strategies)[number] {
  const found = strategies.find((strategy) => strategy === name)
  if (found !== undefined) return found
  throw new UsageError(`invalid value "${name}" for --proxy-strategies: it takes a list of ${strategies.join(', ')}`)
}
