import { ignoredKeys } from '#pkg/config/validate.ts'
import type { Problem } from '#pkg/config/problem.ts'

/** Keys that k0s knows and that change nothing here, with the reason; given ones are warned about. */
const withoutEffect: Readonly<Record<string, string>> = {
  'spec.telemetry': 'nothing is ever reported',
  'spec.network.kuberouter': 'the network provider is flannel',
  'spec.network.calico': 'the network provider is flannel',
  'spec.network.kubeProxy.ipvs': 'the modes are nftables and iptables',
  'spec.network.kubeProxy.patches': 'kube-proxy is no pod here; use extraArgs',
  'spec.network.nodeLocalLoadBalancing.enabled': 'always on',
  'spec.network.nodeLocalLoadBalancing.envoyProxy.image': 'the balancer is built in',
  'spec.network.nodeLocalLoadBalancing.envoyProxy.imagePullPolicy': 'the balancer is built in',
  'spec.network.nodeLocalLoadBalancing.envoyProxy.konnectivityServerBindPort': 'agents know every controller',
  'spec.network.nodeLocalLoadBalancing.traefik.image': 'the balancer is built in',
  'spec.network.nodeLocalLoadBalancing.traefik.imagePullPolicy': 'the balancer is built in',
  'spec.network.nodeLocalLoadBalancing.traefik.konnectivityServerBindPort': 'agents know every controller',
  'spec.network.controlPlaneLoadBalancing.keepalived.virtualServers':
    'the balancer in user space serves the virtual addresses, not the IPVS of the kernel',
  'spec.images.konnectivity': 'the tunnel agent is no pod here',
  'spec.images.pushgateway': 'there is no push gateway',
  'spec.images.kubeproxy': 'kube-proxy is no pod here',
  'spec.images.calico': 'the network provider is flannel',
  'spec.images.kuberouter': 'the network provider is flannel',
  'spec.images.windows': 'there are no Windows workers',
  'spec.extensions.helm': 'charts are not installed yet',
  'spec.extensions.storage': 'deprecated, also in k0s',
}

/** What was given but has no effect, from the document as written, before defaults. Pure. */
export function effectWarnings(document: unknown): readonly Problem[] {
  const warnings = Object.entries(withoutEffect)
    .filter(([path]) => isGiven(valueAt(document, path)))
    // Harmless defaults that k0s's own `config create` writes.
    .filter(([path]) => !(path.endsWith('.enabled') && valueAt(document, path) === true))
    .map(([path, reason]) => ({ path, message: `has no effect: ${reason}` }))
  return [...warnings, ...ignoredKeyWarnings(document, '')]
}

function valueAt(document: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined), document)
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** False for nothing, null, and lists and mappings that are empty. */
function isGiven(value: unknown): boolean {
  if (value === undefined || value === null) return false
  return typeof value !== 'object' || Object.keys(value).length > 0
}

function ignoredKeyWarnings(value: unknown, path: string): readonly Problem[] {
  // What is below is the kubelet's or a chart's, with keys of its own.
  if (!isMapping(value) || path === 'spec.extensions.helm' || path === 'metadata') return []
  return Object.entries(value).flatMap(([key, entry]) => {
    const at = path === '' ? key : `${path}.${key}`
    if (ignoredKeys.has(key)) return [{ path: at, message: 'has no effect: removed, also in k0s' }]
    return ignoredKeyWarnings(entry, at)
  })
}
