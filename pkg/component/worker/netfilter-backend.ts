import { HostNetworkError } from '#pkg/component/worker/errors.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** The one netfilter back end of this node: kube-proxy, flannel and Felix must not mix them. @throws HostNetworkError */
export function netfilterBackend({ deps, config }: Pick<WorkerContext, 'deps' | 'config'>): 'nftables' | 'iptables' {
  const backend = deps.host.netfilter(config.get().kubeProxy.mode)
  if (backend === undefined) {
    throw new HostNetworkError('neither nft nor iptables is installed on this host; install the package nftables')
  }
  return backend
}
