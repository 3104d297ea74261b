/**
 * Names under which the parts of a cluster speak to the API server and the tunnel. A worker's parts each have a client
 * certificate of their own: common name `<prefix>:<node>`, organisation the group that RBAC binds.
 */
export const workerIdentities = {
  /** The worker process: reads worker-config, watches the controllers. */
  worker: { commonNamePrefix: 'k0s:worker', group: 'k0s:workers' },
  kubeProxy: { commonNamePrefix: 'k0s:kube-proxy', group: 'k0s:kube-proxies' },
  flannel: { commonNamePrefix: 'k0s:flannel', group: 'k0s:flannel-agents' },
  /** Felix, Calico's policy agent. */
  felix: { commonNamePrefix: 'k0s:felix', group: 'k0s:felix-agents' },
  /** Calico's CNI plugin, run by containerd for each pod. */
  calicoCni: { commonNamePrefix: 'k0s:calico-cni', group: 'k0s:calico-cni-plugins' },
  tunnelAgent: { commonNamePrefix: 'k0s:tunnel-agent', group: 'k0s:tunnel-agents' },
} as const satisfies Readonly<Record<string, WorkerIdentity>>

/** One row of `workerIdentities`. */
export interface WorkerIdentity {
  readonly commonNamePrefix: string
  readonly group: string
}

/** Key of `workerIdentities`. */
export type WorkerIdentityName = keyof typeof workerIdentities

/** Common name of the identity on one node, for example `k0s:kube-proxy:worker-0`. */
export function workerCommonName(identity: WorkerIdentity, nodeName: string): string {
  return `${identity.commonNamePrefix}:${nodeName}`
}

/** Annotation of a CertificateSigningRequest that is not approved yet: why, for the host that asks. */
export const csrWaitingAnnotation = 'k0s.k0sproject.io/waiting-because'
