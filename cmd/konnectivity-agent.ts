import { type CommandIo, defineCommand } from '#cmd/define.ts'
import type { FlagValues } from '#cmd/flags/flag.ts'
import { konnectivityAgentFlags } from '#cmd/flags/konnectivity.ts'
import { logLevelOf } from '#cmd/flags/shared.ts'
import { checkedIdentifiers, defined, labelsOf, required } from '#cmd/konnectivity-options.ts'
import { untilSignal } from '#cmd/until-signal.ts'
import { UsageError } from '#pkg/errors/usage.ts'
import type { FollowLeases, KonnectivityAgentRunOptions } from '#konnectivity/agent/run.ts'

type Given = FlagValues<typeof konnectivityAgentFlags>

export const konnectivityAgent = defineCommand({
  id: 'konnectivity-agent',
  summary: 'Run a tunnel agent of its own',
  description:
    'A worker has its agent inside. This one takes the flags of the upstream proxy-agent, for hosts that are no workers. A first SIGTERM lets open connections end, a second one cuts them.',
  examples: [
    {
      description: 'Dial two servers',
      command:
        'konnectivity-agent --proxy-server-host=10.0.0.1,10.0.0.2 --ca-cert=ca.crt --agent-cert=tls.crt --agent-key=tls.key',
    },
    {
      description: 'Dial as many as a load balancer has behind it',
      command:
        'konnectivity-agent --proxy-server-host=tunnel.example.com --ca-cert=ca.crt --service-account-token-path=token',
    },
  ],
  flags: konnectivityAgentFlags,
  withoutOclif: true,
  run: async ({ flags, io }) => {
    const options = agentOptions(flags)
    const [{ runKonnectivityAgent }, { createLogger }] = await Promise.all([
      import('#konnectivity/agent/run.ts'),
      import('#pkg/log/winston.ts'),
    ])
    const log = createLogger({ level: logLevelOf({ ...flags, debug: flags.debug || flags.v >= 4 }) })
    const followLeases = flags['count-server-leases'] ? await leasesOf(flags, io.env) : undefined
    await untilSignal(({ signal, now }) =>
      runKonnectivityAgent(options, { log, signal, now, ...(followLeases && { followLeases }) }),
    )
  },
})

function agentOptions(flags: Given): KonnectivityAgentRunOptions {
  if (flags['proxy-server-host'].length === 0) throw new UsageError('--proxy-server-host is required: it takes a list')
  const [cert, key, token] = [flags['agent-cert'], flags['agent-key'], flags['service-account-token-path']]
  if (cert !== undefined || key !== undefined) {
    required('agent-cert', cert)
    required('agent-key', key)
  } else if (token === undefined) {
    throw new UsageError('--agent-cert with --agent-key, or --service-account-token-path is required')
  }
  if (flags['sync-interval'] > flags['sync-interval-cap']) {
    throw new UsageError('--sync-interval must not be longer than --sync-interval-cap')
  }
  return {
    proxyServerHost: flags['proxy-server-host'],
    proxyServerPort: flags['proxy-server-port'],
    alpnProtocols: flags['alpn-proto'],
    ...defined({
      caCert: flags['ca-cert'],
      agentCert: cert,
      agentKey: key,
      agentId: flags['agent-id'],
      agentIdentifiers: checkedIdentifiers(flags['agent-identifiers'] ?? ''),
      serviceAccountTokenPath: token,
    }),
    discovery: {
      syncIntervalMs: flags['sync-interval'],
      syncIntervalCapMs: flags['sync-interval-cap'],
      syncForever: flags['sync-forever'],
    },
    serverCountSource: flags['server-count-source'],
    // Upstream's servers answer pings that come faster than every 30 s with GOAWAY.
    bufferLimitBytes: flags['buffer-limit'] * 1024 * 1024,
    keepaliveMs: Math.max(30_000, flags['keepalive-time']),
    healthServerHost: flags['health-server-host'],
    healthServerPort: flags['health-server-port'],
    adminBindAddress: flags['admin-bind-address'],
    adminServerPort: flags['admin-server-port'],
    drainTimeoutMs: flags['drain-timeout'],
  }
}

async function leasesOf(flags: Given, env: CommandIo['env']): Promise<FollowLeases> {
  const [{ KubeClient }, { clusterAccess, followServerLeases }] = await Promise.all([
    import('#pkg/kubernetes/client.ts'),
    import('#cmd/konnectivity-kubernetes.ts'),
  ])
  const labelSelector = flags['lease-label'] ?? flags['lease-label-selector']
  labelsOf('lease-label-selector', labelSelector)
  const access = await clusterAccess(flags.kubeconfig, env)
  const client = new KubeClient({ ...access, userAgent: 'k0s-konnectivity-agent' })
  const options = { namespace: flags['lease-namespace'], labelSelector }
  return (deps) => followServerLeases(client, options, deps).finally(() => client.close())
}
