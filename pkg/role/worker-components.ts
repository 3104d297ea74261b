import type { Component } from '#pkg/component/component.ts'
import { containerd } from '#pkg/component/worker/containerd.ts'
import { felix } from '#pkg/component/worker/felix.ts'
import { flannel } from '#pkg/component/worker/flannel.ts'
import { hostNetwork } from '#pkg/component/worker/host-network.ts'
import { imageImport } from '#pkg/component/worker/images.ts'
import { kubeProxy } from '#pkg/component/worker/kube-proxy.ts'
import { kubelet } from '#pkg/component/worker/kubelet.ts'
import { Latest } from '#pkg/component/worker/latest.ts'
import { workerLayout } from '#pkg/component/worker/layout.ts'
import { nodeLocalLoadBalancer } from '#pkg/component/worker/load-balancer.ts'
import { nodeCertificate } from '#pkg/component/worker/node-certificate.ts'
import { tunnelAgent } from '#pkg/component/worker/tunnel-agent.ts'
import { WorkerCertificates } from '#pkg/component/worker/worker-certificates.ts'
import { workerConfigWatcher } from '#pkg/component/worker/worker-config-watcher.ts'
import { workerConfig } from '#pkg/component/worker/worker-config.ts'
import type { WorkerContext, WorkerDeps, WorkerNodeOptions } from '#pkg/component/worker/worker-context.ts'

/** Names that `--disable-components` takes, and which components of a worker each of them leaves out. */
const disables: Readonly<Record<string, readonly string[]>> = {
  'kube-proxy': ['kube-proxy'],
  'network-provider': ['flannel', 'calico-felix'],
  'konnectivity-server': ['konnectivity-agent'],
}

/**
 * The graph of a worker, for `k0s worker` and for a controller that runs one beside itself.
 *
 *   worker-config ─► containerd ─► image-import ─┐
 *        ├─► host-network ───────────────────────┤
 *        ├─► nllb ───────────────────────────────┼─► kubelet
 *   node-certificate ─► worker-certificates ─────┘
 *                             ├─► kube-proxy, flannel, calico-felix, konnectivity-agent, worker-config-watcher
 */
export function workerComponents(
  options: WorkerNodeOptions,
  deps: WorkerDeps,
  disabled: readonly string[] = [],
): readonly Component[] {
  const context = workerContext(options, deps)
  const certificates = new WorkerCertificates(context)
  const components: readonly Component[] = [
    workerConfig(context),
    nodeCertificate(context),
    nodeLocalLoadBalancer(context),
    hostNetwork(context),
    ...(options.criSocket === undefined ? [containerd(context), imageImport(context)] : []),
    certificates,
    kubelet(context),
    kubeProxy(context),
    flannel(context),
    felix(context),
    tunnelAgent(context, certificates),
    workerConfigWatcher(context, certificates),
  ]
  const left = new Set(disabled.flatMap((name) => disables[name] ?? []))
  return components.filter(({ name }) => !left.has(name))
}

function workerContext(options: WorkerNodeOptions, deps: WorkerDeps): WorkerContext {
  const config: WorkerContext['config'] = new Latest('the worker configuration')
  return {
    options,
    deps,
    layout: workerLayout(options.vars),
    config,
    localApiServer: () => `https://127.0.0.1:${config.get().nodeLocalLoadBalancing.apiServerBindPort}`,
  }
}
