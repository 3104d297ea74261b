/**
 * What a controller tells the workers: the ConfigMap kube-system/worker-config-<profile>-<major.minor>, one key per
 * field, each value JSON. Rendered by pkg/component/cluster from the ClusterConfig, read by pkg/component/worker with a
 * join token first and with the worker's own identity later.
 */
export interface WorkerConfig {
  /** `host:port` of every controller's API server. */
  readonly apiServerAddresses: readonly string[]
  /** A KubeletConfiguration without what differs from node to node (paths, sockets, cgroup driver, addresses). */
  readonly kubeletConfiguration: Readonly<Record<string, unknown>>
  /** The tunnel servers listen on `agentPort` of every controller. */
  readonly konnectivity: { readonly agentPort: number }
  /** The worker's clients use 127.0.0.1:`apiServerBindPort`, balanced over `apiServerAddresses`. */
  readonly nodeLocalLoadBalancing: { readonly apiServerBindPort: number }
  /** Image reference of the pod sandbox. */
  readonly pauseImage: string
  readonly dualStackEnabled: boolean
  /** Address of the cluster's DNS Service. */
  readonly clusterDNS: string
  /** Default `cluster.local`. */
  readonly clusterDomain: string
  readonly network: WorkerNetworkConfig
  readonly kubeProxy: WorkerKubeProxyConfig
}

/** Pod network as a worker sees it. */
export interface WorkerNetworkConfig {
  /** `custom`: the worker starts neither flannel nor the policy agent and waits for the user's CNI plugin. */
  readonly provider: 'flannel' | 'custom'
  /** With dual stack: `IPv4,IPv6`. */
  readonly podCIDR: string
  readonly serviceCIDR: string
  readonly flannel: WorkerFlannelConfig
}

/** How routes between workers are made. */
export interface WorkerFlannelConfig {
  readonly backend: 'vxlan' | 'host-gw'
  /** VXLAN network identifier; flannel's default is 1. */
  readonly vni: number
  /** UDP port of VXLAN; 0 leaves it to the kernel (8472). */
  readonly port: number
  /** MTU of pod interfaces in bytes; 0 derives it from the uplink. */
  readonly mtu: number
}

/** Fields of KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) that the ClusterConfig sets. */
export interface WorkerKubeProxyConfig {
  readonly disabled: boolean
  readonly mode: 'nftables' | 'iptables'
  /** `host:port`. */
  readonly metricsBindAddress: string
  /** `host:port`. */
  readonly healthzBindAddress: string
  /** CIDRs of the addresses that node ports listen on; empty means all. */
  readonly nodePortAddresses: readonly string[]
  /** Fields of KubeProxyIPTablesConfiguration, as in kubeproxy.config.k8s.io/v1alpha1. */
  readonly iptables: Readonly<Record<string, unknown>>
  /** Fields of KubeProxyNFTablesConfiguration, as in kubeproxy.config.k8s.io/v1alpha1. */
  readonly nftables: Readonly<Record<string, unknown>>
  /** `featureGates` of KubeProxyConfiguration. */
  readonly featureGates: Readonly<Record<string, boolean>>
  /** Flags added to or replacing the generated ones. */
  readonly extraArgs: Readonly<Record<string, string>>
  /** Flags appended as they are. */
  readonly rawArgs: readonly string[]
}
