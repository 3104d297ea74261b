import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import type { Problem } from '#pkg/config/problem.ts'
import { isIp, parseCidr } from '#pkg/net/ip.ts'

const at = 'spec.network.controlPlaneLoadBalancing'

/** What is wrong with the virtual addresses of the controllers. Pure. */
export function loadBalancingProblems({ network, api }: ClusterSpec): readonly Problem[] {
  const { enabled, keepalived } = network.controlPlaneLoadBalancing
  if (!enabled) return []
  const instances = keepalived?.vrrpInstances ?? []
  if (instances.length === 0) {
    return [{ path: `${at}.keepalived.vrrpInstances`, message: 'needs at least one instance with a virtual address' }]
  }
  const taken = keepalived?.userSpaceProxyBindPort === api.port
  return [
    ...instances.flatMap((instance, i) => instanceProblems(instance, `${at}.keepalived.vrrpInstances[${i}]`)),
    ...routerIdProblems(instances.map(({ virtualRouterID }) => virtualRouterID)),
    ...(['configTemplateVRRP', 'configTemplateVS'] as const)
      .filter((key) => keepalived?.[key] !== undefined)
      .map((key) => ({ path: `${at}.keepalived.${key}`, message: 'templates are not available; remove it' })),
    ...(taken
      ? [
          {
            path: `${at}.keepalived.userSpaceProxyBindPort`,
            message: `port ${api.port} is that of spec.api.port already`,
          },
        ]
      : []),
  ]
}

type Instance = NonNullable<ClusterSpec['network']['controlPlaneLoadBalancing']['keepalived']>['vrrpInstances'][number]

function instanceProblems(instance: Instance, path: string): readonly Problem[] {
  const { virtualIPs, unicastPeers, unicastSourceIP } = instance
  const peers = [...unicastPeers, ...(unicastSourceIP === undefined ? [] : [unicastSourceIP])]
  return [
    ...(virtualIPs.length === 0 ? [{ path: `${path}.virtualIPs`, message: 'needs at least one address' }] : []),
    ...virtualIPs
      .filter((text) => !isAddressWithPrefix(text))
      .map((text) => ({
        path: `${path}.virtualIPs`,
        message: `"${text}" is not an address with prefix length; write it as 192.0.2.100/24`,
      })),
    ...peers
      .filter((text) => !isIp(text))
      .map((text) => ({ path: `${path}.unicastPeers`, message: `"${text}" is not an IP address` })),
    // keepalived's configuration has no way to write others.
    ...(/^[\w.:/@%+=,-]*$/.test(instance.authPass)
      ? []
      : [{ path: `${path}.authPass`, message: 'may have letters, digits and any of . _ : / @ % + = , - only' }]),
  ]
}

function isAddressWithPrefix(text: string): boolean {
  if (!text.includes('/')) return false
  try {
    parseCidr(text)
    return true
  } catch {
    return false
  }
}

function routerIdProblems(ids: readonly (number | undefined)[]): readonly Problem[] {
  return ids.flatMap((id, i) =>
    id !== undefined && ids.indexOf(id) < i
      ? [{ path: `${at}.keepalived.vrrpInstances[${i}].virtualRouterID`, message: `${id} is given twice` }]
      : [],
  )
}
