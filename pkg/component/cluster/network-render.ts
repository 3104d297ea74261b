import { renderYaml } from '#pkg/component/cluster/objects.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** What the network's objects depend on. */
export interface NetworkOptions {
  /** Networks of all pods, one or two families. */
  readonly podCIDRs: readonly string[]
}

/**
 * Manifest of stack `flannel` besides Calico's definitions: Felix serves no pod before ClusterInformation says that the
 * store is ready, and the pools tell it which addresses are pods, so that only what leaves them is masqueraded. Pure.
 */
export function renderNetwork({ podCIDRs }: NetworkOptions): string {
  return renderYaml([
    {
      apiVersion: 'crd.projectcalico.org/v1',
      kind: 'ClusterInformation',
      metadata: { name: 'default' },
      spec: { datastoreReady: true },
    },
    ...podCIDRs.map(ipPool),
  ])
}

function ipPool(cidr: string): KubeObject {
  const isIpv6 = cidr.includes(':')
  return {
    apiVersion: 'crd.projectcalico.org/v1',
    kind: 'IPPool',
    metadata: { name: isIpv6 ? 'default-ipv6-ippool' : 'default-ipv4-ippool' },
    spec: {
      cidr,
      // Addresses are handed out per node by host-local; the size is there because the kind asks for one.
      blockSize: isIpv6 ? 122 : 26,
      ipipMode: 'Never',
      vxlanMode: 'Never',
      natOutgoing: true,
      nodeSelector: 'all()',
    },
  }
}
