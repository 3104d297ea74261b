import assert from 'node:assert/strict'
import { konnectivityAgentFlags, konnectivityServerFlags } from '#cmd/flags/konnectivity.ts'
import { checkedIdentifiers, ciphersOf, labelsOf, tlsMinVersionOf } from '#cmd/konnectivity-options.ts'
import { konnectivityAgent } from '#cmd/konnectivity-agent.ts'
import { konnectivityServer } from '#cmd/konnectivity-server.ts'
import { parseFlags } from '#cmd/flags/parse.ts'
import { UsageError } from '#pkg/errors/usage.ts'

/** Flags of upstream's programs (apiserver-network-proxy, cmd/server and cmd/agent), each with a value that it takes. */
const serverFlags: Readonly<Record<string, string>> = {
  'server-cert': '/a',
  'server-key': '/a',
  'server-ca-cert': '/a',
  'cluster-cert': '/a',
  'cluster-key': '/a',
  'cluster-ca-cert': '/a',
  mode: 'grpc',
  'uds-name': '/run/x.sock',
  'delete-existing-uds-file': 'false',
  'server-port': '0',
  'server-bind-address': '10.0.0.1',
  'agent-port': '8132',
  'agent-bind-address': '0.0.0.0',
  'admin-port': '8133',
  'admin-bind-address': '127.0.0.1',
  'health-port': '8092',
  'health-bind-address': '0.0.0.0',
  'keepalive-time': '1h',
  'frontend-keepalive-time': '1h',
  'enable-profiling': 'true',
  'enable-contention-profiling': 'true',
  'server-id': 'a',
  'server-count': '3',
  'agent-namespace': 'kube-system',
  'agent-service-account': 'konnectivity-agent',
  kubeconfig: '/a',
  'kubeconfig-qps': '75.5',
  'kubeconfig-burst': '150',
  'kube-api-content-type': 'application/vnd.kubernetes.protobuf',
  'authentication-audience': 'system:konnectivity-server',
  'proxy-strategies': 'destHost,default',
  'cipher-suites': 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  'tls-min-version': 'VersionTLS13',
  'xfr-channel-size': '150',
  'enable-lease-controller': 'true',
  'lease-namespace': 'kube-system',
  'lease-label': 'k8s-app=konnectivity-server',
  'graceful-shutdown-timeout': '15s',
  'backend-dial-timeout': '0s',
  'warn-on-channel-limit': 'true',
}
const agentFlags: Readonly<Record<string, string>> = {
  'agent-cert': '/a',
  'agent-key': '/a',
  'ca-cert': '/a',
  'proxy-server-host': '10.0.0.1',
  'proxy-server-port': '8132',
  'alpn-proto': 'tunnel',
  'health-server-host': '',
  'health-server-port': '8093',
  'admin-server-port': '8094',
  'admin-bind-address': '127.0.0.1',
  'enable-profiling': 'true',
  'enable-contention-profiling': 'true',
  'agent-id': 'a',
  'sync-interval': '1s',
  'probe-interval': '1s',
  'sync-interval-cap': '10s',
  'keepalive-time': '1h',
  'service-account-token-path': '/a',
  'agent-identifiers': 'ipv4=1.2.3.4&host=a&cidr=10.0.0.0/8&ipv6=::1&default-route=true',
  'warn-on-channel-limit': 'true',
  'sync-forever': 'true',
  'xfr-channel-size': '150',
  'count-server-leases': 'true',
  'lease-namespace': 'kube-system',
  'lease-label-selector': 'k8s-app=konnectivity-server',
  'lease-label': 'k8s-app=konnectivity-server',
  'server-count-source': 'max',
  kubeconfig: '/a',
  'kube-api-content-type': 'application/json',
}

describe('commands of the tunnel', function () {
  this.timeout(30_000) // also on a loaded machine
  const io = { env: {}, uid: 0, self: 'k0s', stdout: () => undefined, stderr: () => undefined }
  const parse = (table: typeof konnectivityServerFlags | typeof konnectivityAgentFlags, argv: readonly string[]) =>
    parseFlags(table, argv, { command: 'k0s', env: {} })
  const runServer = async (...argv: string[]): Promise<void> => {
    const { flags, changed } = parse(konnectivityServerFlags, argv)
    await konnectivityServer.run({ flags, changed, given: [], args: [], io })
  }
  const runAgent = async (...argv: string[]): Promise<void> => {
    const { flags, changed } = parse(konnectivityAgentFlags, argv)
    await konnectivityAgent.run({ flags, changed, given: [], args: [], io })
  }

  it('take every flag of upstream', () => {
    for (const [table, given] of [
      [konnectivityServerFlags, serverFlags],
      [konnectivityAgentFlags, agentFlags],
    ] as const) {
      const argv = Object.entries(given).map(([name, value]) => `--${name}=${value}`)
      assert.deepEqual([...parse(table, argv).changed].sort(), Object.keys(given).sort())
    }
  })

  it('take the name of a server and of an agent from upstream variables', () => {
    assert.equal(konnectivityServerFlags['server-id'].env, 'PROXY_SERVER_ID')
    assert.equal(konnectivityAgentFlags['agent-id'].env, 'PROXY_AGENT_ID')
  })

  it('refuse what would weaken them, and say why', async () => {
    assert.equal(tlsMinVersionOf(''), 'TLSv1.2')
    assert.throws(() => tlsMinVersionOf('VersionTLS10'), /VersionTLS10 is refused/)
    assert.throws(() => ciphersOf(['TLS_RSA_WITH_AES_128_CBC_SHA']), /not known or not secure/)
    assert.match(ciphersOf(['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256']) ?? '', /:ECDHE-RSA-AES128-GCM-SHA256$/)
    assert.equal(ciphersOf(['TLS_AES_128_GCM_SHA256']), undefined)
    const files = ['--uds-name=/a', '--cluster-cert=/a', '--cluster-key=/a']
    await assert.rejects(runServer(...files), /--cluster-ca-cert is required/)
    const token = ['--agent-namespace=a', '--agent-service-account=b', '--authentication-audience=c']
    await assert.rejects(runServer(...files, ...token.slice(1)), /--agent-namespace is required/)
    await assert.rejects(runServer(...files, ...token, '--cluster-ca-cert=/a'), /cannot be used together/)
    await assert.rejects(runServer(...files, ...token), /--kubeconfig is required/)
    await assert.rejects(runServer(...files, '--cluster-ca-cert=/a', '--proxy-strategies=best'), UsageError)
    await assert.rejects(
      runServer(...files, '--cluster-ca-cert=/a', '--enable-lease-controller', '--lease-label=x'),
      /it takes labels/,
    )
  })

  it('refuse an agent without proof, or with identifiers that are none', async () => {
    await assert.rejects(runAgent('--proxy-server-host=a'), /--service-account-token-path is required/)
    await assert.rejects(runAgent('--proxy-server-host=a', '--agent-cert=/a'), /--agent-key is required/)
    const agent = ['--proxy-server-host=a', '--service-account-token-path=/a']
    await assert.rejects(runAgent(...agent, '--sync-interval=11s'), /must not be longer/)
    await assert.rejects(runAgent(...agent, '--count-server-leases'), /--kubeconfig is required/)
    assert.equal(checkedIdentifiers(agentFlags['agent-identifiers'] ?? ''), agentFlags['agent-identifiers'])
    for (const query of ['uid=1', 'ipv4=::1', 'ipv6=1.2.3.4', 'cidr=10.0.0.0', 'host=', 'default-route=yes']) {
      assert.throws(() => checkedIdentifiers(query), UsageError, query)
    }
    assert.deepEqual(labelsOf('x', 'a.b/c=d,e='), { 'a.b/c': 'd', e: '' })
  })
})
