import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import type { WorkerConfig } from '#pkg/apis/worker-config.ts'
import { nthAddress, parseCidr } from '#pkg/net/ip.ts'
import { workerConfigName } from '#pkg/component/worker/worker-config.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** What a worker configuration needs besides the ClusterConfig. */
export interface WorkerConfigFacts {
  /** `host:port` of every controller's API server. */
  readonly apiServerAddresses: readonly string[]
  /** Reference of the pod sandbox image. */
  readonly pauseImage: string
}

/** The profile that a worker gets which names none. */
export const DEFAULT_PROFILE = 'default'

/** Names of all profiles, `default` first. */
export function profileNames(spec: ClusterSpec): readonly string[] {
  return [...new Set([DEFAULT_PROFILE, ...spec.workerProfiles.map(({ name }) => name)])]
}

/** What a worker of `profile` is told. Pure; also what a worker in the controller's own process is given. */
export function renderWorkerConfig(spec: ClusterSpec, facts: WorkerConfigFacts, profile: string): WorkerConfig {
  const { network, konnectivity } = spec
  const { kubeProxy } = network
  return {
    apiServerAddresses: facts.apiServerAddresses,
    kubeletConfiguration: kubeletConfiguration(spec, profile),
    konnectivity: { agentPort: konnectivity.agentPort },
    nodeLocalLoadBalancing: { apiServerBindPort: nllbPort(spec) },
    pauseImage: facts.pauseImage,
    dualStackEnabled: network.dualStack.enabled,
    clusterDNS: clusterDns(spec),
    clusterDomain: network.clusterDomain,
    network: {
      provider: network.provider === 'custom' ? 'custom' : 'flannel',
      podCIDR: families(network.podCIDR, network.dualStack.enabled, network.dualStack.IPv6podCIDR),
      serviceCIDR: families(network.serviceCIDR, network.dualStack.enabled, network.dualStack.IPv6serviceCIDR),
      flannel: network.flannel,
    },
    kubeProxy: {
      disabled: kubeProxy.disabled,
      mode: kubeProxy.mode === 'iptables' ? 'iptables' : 'nftables',
      metricsBindAddress: kubeProxy.metricsBindAddress,
      healthzBindAddress: kubeProxy.healthzBindAddress,
      nodePortAddresses: kubeProxy.nodePortAddresses,
      iptables: kubeProxy.iptables,
      nftables: kubeProxy.nftables,
      featureGates: featureGates(spec, 'kube-proxy'),
      extraArgs: kubeProxy.extraArgs,
      rawArgs: kubeProxy.rawArgs,
    },
  }
}

/** The ConfigMap that carries it: one key a field, each value JSON. */
export function workerConfigMap(profile: string, config: WorkerConfig): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: workerConfigName(profile),
      namespace: 'kube-system',
      labels: { 'app.kubernetes.io/component': 'worker-config', 'k0s.k0sproject.io/worker-profile': profile },
    },
    data: Object.fromEntries(Object.entries(config).map(([key, value]) => [key, JSON.stringify(value)])),
  }
}

/** Address of the DNS Service: the tenth of the Service network, as everywhere. */
export function clusterDns({ network }: ClusterSpec): string {
  return nthAddress(parseCidr(network.serviceCIDR.split(',')[0]?.trim() ?? ''), 10)
}

function families(cidr: string, isDual: boolean, ipv6: string | undefined): string {
  return isDual && ipv6 !== undefined ? `${cidr},${ipv6}` : cidr
}

function nllbPort({ network: { nodeLocalLoadBalancing } }: ClusterSpec): number {
  const { type, envoyProxy, traefik } = nodeLocalLoadBalancing
  return (type === 'Traefik' ? traefik : envoyProxy).apiServerBindPort
}

/** Gates that the ClusterConfig sets for `program`: those that name it, and those that name none. */
export function featureGates(spec: ClusterSpec, program: string): Readonly<Record<string, boolean>> {
  const applies = (components: readonly string[]): boolean => components.length === 0 || components.includes(program)
  return Object.fromEntries(
    spec.featureGates.filter(({ components }) => applies(components)).map(({ name, enabled }) => [name, enabled]),
  )
}

/** The six suites that k0s allows for TLS 1.2; those of TLS 1.3 are not configurable. */
const tlsCipherSuites = [
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
]

/** KubeletConfiguration (kubelet.config.k8s.io/v1beta1) of a profile, without what only the node knows. */
function kubeletConfiguration(spec: ClusterSpec, profile: string): Readonly<Record<string, unknown>> {
  const gates = featureGates(spec, 'kubelet')
  const base = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true, cacheTTL: '2m0s' } },
    authorization: { mode: 'Webhook', webhook: { cacheAuthorizedTTL: '5m0s', cacheUnauthorizedTTL: '30s' } },
    clusterDNS: [clusterDns(spec)],
    clusterDomain: spec.network.clusterDomain,
    // Events are rate-limited by the API server; a kubelet that drops its own hides why a pod does not start.
    eventRecordQPS: 0,
    failCgroupV1: false,
    failSwapOn: false,
    rotateCertificates: true,
    serverTLSBootstrap: true,
    tlsMinVersion: 'VersionTLS12',
    tlsCipherSuites,
    ...(Object.keys(gates).length === 0 ? {} : { featureGates: gates }),
  }
  const values = spec.workerProfiles.find(({ name }) => name === profile)?.values ?? {}
  return merged(base, values) as Readonly<Record<string, unknown>>
}

/** Objects merge key by key; anything else is replaced. */
function merged(base: unknown, over: unknown): unknown {
  if (!isRecord(base) || !isRecord(over)) return over
  const both = new Map<string, unknown>(Object.entries(base))
  for (const [key, value] of Object.entries(over)) both.set(key, merged(both.get(key), value))
  return Object.fromEntries(both)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
