import { type CommandIo, defineCommand } from '#cmd/define.ts'
import type { FlagValues } from '#cmd/flags/flag.ts'
import { konnectivityServerFlags } from '#cmd/flags/konnectivity.ts'
import { logLevelOf } from '#cmd/flags/shared.ts'
import { ciphersOf, defined, labelsOf, required, tlsMinVersionOf } from '#cmd/konnectivity-options.ts'
import { untilSignal } from '#cmd/until-signal.ts'
import { UsageError } from '#pkg/errors/usage.ts'
import type { KonnectivityServerOptions } from '#konnectivity/server/options.ts'
import type { KonnectivityServerDeps } from '#konnectivity/server/server.ts'
import type { TokenAuthenticatorOptions } from '#konnectivity/server/token-authenticator.ts'

const strategies = ['destHost', 'defaultRoute', 'default'] as const

type Given = FlagValues<typeof konnectivityServerFlags>

export const konnectivityServer = defineCommand({
  id: 'konnectivity-server',
  summary: 'Run the tunnel server that workers dial',
  description:
    'A controller runs it by itself. On its own it takes the flags of the upstream proxy-server. Started beside one that runs with the same flags, it takes over from it and refuses no dial.',
  examples: [
    {
      description: 'For an API server on the same host',
      command:
        'konnectivity-server --uds-name=/run/tunnel.sock --cluster-cert=tls.crt --cluster-key=tls.key --cluster-ca-cert=ca.crt',
    },
    {
      description: "For upstream's agents, which prove themselves by tokens",
      command:
        'konnectivity-server --uds-name=/run/tunnel.sock --cluster-cert=tls.crt --cluster-key=tls.key --agent-namespace=kube-system --agent-service-account=konnectivity-agent --authentication-audience=system:konnectivity-server --kubeconfig=konnectivity.conf',
    },
  ],
  flags: konnectivityServerFlags,
  withoutOclif: true,
  run: async ({ flags: given, io }) => {
    const options = serverOptions(given)
    const auth = tokenOptions(given)
    if (auth === undefined) required('cluster-ca-cert', given['cluster-ca-cert'])
    const leases = given['enable-lease-controller'] ? labelsOf('lease-label', given['lease-label']) : undefined
    const [{ runKonnectivityServer }, { createLogger }] = await Promise.all([
      import('#konnectivity/server/run.ts'),
      import('#pkg/log/winston.ts'),
    ])
    const log = createLogger({ level: logLevelOf({ ...given, debug: given.debug || given.v >= 4 }) })
    const needsCluster = auth !== undefined || leases !== undefined
    const deps = needsCluster ? await clusterDeps(given, io.env, auth, leases) : {}
    await untilSignal(({ signal, now }) => runKonnectivityServer(options, { ...deps, log, signal, now }))
  },
})

function serverOptions(given: Given): KonnectivityServerOptions {
  return {
    mode: given.mode,
    ...defined({
      udsName: given['uds-name'],
      udsGid: given['uds-gid'] === -1 ? undefined : given['uds-gid'],
      serverBindAddress: given['server-bind-address'],
      serverCert: given['server-cert'],
      serverKey: given['server-key'],
      serverCaCert: given['server-ca-cert'],
      agentBindAddress: given['agent-bind-address'],
      clusterCaCert: given['cluster-ca-cert'],
      serverId: given['server-id'],
      handoverSocket: given['handover-socket'] === 'none' ? '' : given['handover-socket'],
      ciphers: ciphersOf(given['cipher-suites']),
    }),
    deleteExistingUdsFile: given['delete-existing-uds-file'],
    serverPort: given['server-port'],
    agentPort: given['agent-port'],
    clusterCert: required('cluster-cert', given['cluster-cert']),
    clusterKey: required('cluster-key', given['cluster-key']),
    adminPort: given['admin-port'],
    adminBindAddress: given['admin-bind-address'],
    healthPort: given['health-port'],
    healthBindAddress: given['health-bind-address'],
    bufferLimitBytes: given['buffer-limit'] * 1024 * 1024,
    keepaliveMs: given['keepalive-time'],
    frontendKeepaliveMs: given['frontend-keepalive-time'],
    tlsMinVersion: tlsMinVersionOf(given['tls-min-version']),
    serverCount: given['server-count'],
    proxyStrategies: given['proxy-strategies'].map(strategyOf),
    backendDialTimeoutMs: given['backend-dial-timeout'],
    gracefulShutdownTimeoutMs: given['graceful-shutdown-timeout'],
    handoverTimeoutMs: given['handover-timeout'],
    agentWaitMs: given['agent-wait-timeout'],
  }
}

/** Upstream's rules: all three or none, and no client certificates beside them. */
function tokenOptions(given: Given): TokenAuthenticatorOptions | undefined {
  const names = ['agent-namespace', 'agent-service-account', 'authentication-audience'] as const
  if (names.every((name) => given[name] === undefined)) return undefined
  if (given['cluster-ca-cert'] !== undefined) {
    throw new UsageError('--cluster-ca-cert cannot be used together with --agent-service-account')
  }
  const [agentNamespace, agentServiceAccount, authenticationAudience] = names.map((name) =>
    required(name, given[name], 'a name; agents are authenticated by tokens'),
  ) as [string, string, string]
  return { agentNamespace, agentServiceAccount, authenticationAudience }
}

async function clusterDeps(
  given: Given,
  env: CommandIo['env'],
  auth: TokenAuthenticatorOptions | undefined,
  labels: Readonly<Record<string, string>> | undefined,
): Promise<Pick<KonnectivityServerDeps, 'authenticator' | 'leases'>> {
  const [{ KubeClient }, kubernetes, { tokenAuthenticator }] = await Promise.all([
    import('#pkg/kubernetes/client.ts'),
    import('#cmd/konnectivity-kubernetes.ts'),
    import('#konnectivity/server/token-authenticator.ts'),
  ])
  const access = await kubernetes.clusterAccess(given.kubeconfig, env)
  const client = new KubeClient({ ...access, userAgent: 'k0s-konnectivity-server' })
  const namespace = given['lease-namespace']
  return {
    ...(auth && { authenticator: tokenAuthenticator(auth, { reviewer: kubernetes.kubeTokenReviewer(client) }) }),
    ...(labels && { leases: kubernetes.kubeLeaseStore({ namespace, labels }, client) }),
  }
}

function strategyOf(name: string): (typeof strategies)[number] {
  const found = strategies.find((strategy) => strategy === name)
  if (found !== undefined) return found
  throw new UsageError(`invalid value "${name}" for --proxy-strategies: it takes a list of ${strategies.join(', ')}`)
}
