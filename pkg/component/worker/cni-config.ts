/** What the CNI configuration of the pod network varies with. */
export interface CniConfigOptions {
  readonly nodeName: string
  /** Kubeconfig of the identity `calicoCni`. */
  readonly kubeconfig: string
  readonly mtu: number
  readonly netfilter: 'nftables' | 'iptables'
}

/**
 * The network of pods: Calico's plugin makes the veth under the name that Felix looks for, host-local takes the address
 * from the node's podCIDR, portmap serves hostPort.
 */
export function renderCniConfig({ nodeName, kubeconfig, mtu, netfilter }: CniConfigOptions): string {
  const conflist = {
    name: 'k8s-pod-network',
    cniVersion: '1.0.0',
    plugins: [
      {
        type: 'calico',
        log_level: 'warning',
        datastore_type: 'kubernetes',
        nodename: nodeName,
        mtu,
        ipam: { type: 'host-local', subnet: 'usePodCidr' },
        policy: { type: 'k8s' },
        kubernetes: { kubeconfig },
      },
      { type: 'portmap', capabilities: { portMappings: true }, snat: true, backend: netfilter },
    ],
  }
  return `${JSON.stringify(conflist, undefined, 2)}\n`
}

/** MTU of pod interfaces: what is configured, else the uplink's less what the overlay adds to each packet. */
export function podMtu(
  flannel: { readonly backend: 'vxlan' | 'host-gw'; readonly mtu: number },
  uplinkMtu: number | undefined,
): number {
  if (flannel.mtu > 0) return flannel.mtu
  const overhead = flannel.backend === 'vxlan' ? VXLAN_OVERHEAD_BYTES : 0
  return (uplinkMtu ?? ETHERNET_MTU) - overhead
}

/** Outer Ethernet, IPv4, UDP and VXLAN headers (RFC 7348); flannel subtracts the same. */
const VXLAN_OVERHEAD_BYTES = 50
const ETHERNET_MTU = 1500
