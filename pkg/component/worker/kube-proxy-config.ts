import type { WorkerConfig } from '#pkg/apis/worker-config.ts'

/** What kube-proxy's configuration takes from this node. */
export interface KubeProxyNodeFacts {
  readonly nodeName: string
  readonly kubeconfig: string
  readonly mode: 'nftables' | 'iptables'
  /** Whether nf_conntrack_max may be written: only the first network namespace may. */
  readonly conntrackMaxWritable: boolean
}

/** The KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) of this node. */
export function kubeProxyConfiguration(
  { kubeProxy, network }: Pick<WorkerConfig, 'kubeProxy' | 'network'>,
  facts: KubeProxyNodeFacts,
): Readonly<Record<string, unknown>> {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    hostnameOverride: facts.nodeName,
    clientConnection: { kubeconfig: facts.kubeconfig },
    mode: facts.mode,
    clusterCIDR: network.podCIDR,
    metricsBindAddress: kubeProxy.metricsBindAddress,
    healthzBindAddress: kubeProxy.healthzBindAddress,
    nodePortAddresses: kubeProxy.nodePortAddresses,
    // 0 leaves the kernel's value: kube-proxy ends when it may not write it.
    ...(facts.conntrackMaxWritable ? {} : { conntrack: { maxPerCore: 0, min: 0 } }),
    ...(facts.mode === 'nftables' ? { nftables: kubeProxy.nftables } : { iptables: kubeProxy.iptables }),
    featureGates: kubeProxy.featureGates,
  }
}
