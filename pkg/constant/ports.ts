/** Ports that are not configurable, or their defaults. All as k0s unless noted. */
export const ports = {
  apiServer: 6443,
  /** Join API of controllers. */
  k0sApi: 9443,
  /** Tunnel agents of the workers. */
  konnectivityAgent: 8132,
  /** Loopback: metrics of the tunnel server. */
  konnectivityAdmin: 8133,
  /** Loopback: health of the tunnel server. */
  konnectivityHealth: 8092,
  etcdClient: 2379,
  etcdPeer: 2380,
  /** kube-controller-manager --secure-port default, bound to loopback. */
  controllerManager: 10257,
  /** kube-scheduler --secure-port default, bound to loopback. */
  scheduler: 10259,
  kubelet: 10250,
  /** kubelet healthzPort default, loopback. */
  kubeletHealthz: 10248,
  kubeProxyHealthz: 10256,
  kubeProxyMetrics: 10249,
  /** Loopback on every worker: the node-local load balancer in front of the API servers. */
  nllbApiServer: 7443,
} as const
