import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { logLevelOf, outputFlags } from '#cmd/flags/shared.ts'
import { defined, required } from '#cmd/konnectivity-server.ts'
import { untilSignal } from '#cmd/until-signal.ts'
import { UsageError } from '#pkg/errors/usage.ts'

const port = { min: 0, max: 65_535 } as const

export const konnectivityAgent = defineCommand({
  id: 'konnectivity-agent',
  summary: 'Run a tunnel agent of its own',
  description:
    'A worker has its agent inside. This one takes the flags of the upstream proxy-agent, for hosts that are no workers.',
  examples: [
    {
      description: 'Dial two servers',
      command:
        'konnectivity-agent --proxy-server-host=10.0.0.1,10.0.0.2 --ca-cert=ca.crt --agent-cert=tls.crt --agent-key=tls.key',
    },
  ],
  flags: {
    ...outputFlags({ verbose: true }),
    'proxy-server-host': flag.list('hosts of the servers (required); each gets a connection'),
    'proxy-server-port': flag.integer('port of the servers', { default: 8132, min: 1, max: 65_535 }),
    'ca-cert': flag.optionalPath('authority of the certificates of the servers (required)'),
    'agent-cert': flag.optionalPath('client certificate of the agent (required)'),
    'agent-key': flag.optionalPath('key of that certificate (required)'),
    'agent-id': flag.optionalText('name of the agent (default: the name of the host)'),
    'agent-identifiers': flag.optionalText('addresses that are behind this agent, ipv4=10.0.0.5&host=name'),
    'service-account-token-path': flag.optionalPath('token for servers that authenticate by one'),
    'health-server-host': flag.text('address of health checks and metrics', { default: '127.0.0.1' }),
    'health-server-port': flag.integer('port of health checks and metrics', { default: 8093, ...port }),
    'admin-bind-address': flag.text('address of metrics and status', { default: '127.0.0.1' }),
    'admin-server-port': flag.integer('port of metrics and status', { default: 8094, ...port }),
    'drain-timeout': flag.duration('how long open connections go on after a stop (not upstream)', {
      defaultMs: 30_000,
    }),
  },
  withoutOclif: true,
  run: async ({ flags }) => {
    if (flags['proxy-server-host'].length === 0)
      throw new UsageError('--proxy-server-host is required: it takes a list')
    const options = {
      proxyServerHost: flags['proxy-server-host'],
      proxyServerPort: flags['proxy-server-port'],
      caCert: required('ca-cert', flags['ca-cert']),
      agentCert: required('agent-cert', flags['agent-cert']),
      agentKey: required('agent-key', flags['agent-key']),
      ...defined({
        agentId: flags['agent-id'],
        agentIdentifiers: flags['agent-identifiers'],
        serviceAccountTokenPath: flags['service-account-token-path'],
      }),
      healthServerHost: flags['health-server-host'],
      healthServerPort: flags['health-server-port'],
      adminBindAddress: flags['admin-bind-address'],
      adminServerPort: flags['admin-server-port'],
      drainTimeoutMs: flags['drain-timeout'],
    }
    const [{ runKonnectivityAgent }, { createLogger }] = await Promise.all([
      import('#konnectivity/agent/run.ts'),
      import('#pkg/log/winston.ts'),
    ])
    const log = createLogger({ level: logLevelOf(flags) })
    await untilSignal((signal) => runKonnectivityAgent(options, { log, signal }))
  },
})
