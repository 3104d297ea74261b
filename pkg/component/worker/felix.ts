import { join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import { probeHttp } from '#pkg/net/probe.ts'
import type { ProcessSpec } from '#pkg/supervisor/process.ts'
import { HostNetworkError } from '#pkg/component/worker/errors.ts'
import { identityKubeconfig } from '#pkg/component/worker/layout.ts'
import { netfilterBackend } from '#pkg/component/worker/netfilter-backend.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { processEnv, processPath } from '#pkg/component/worker/process-env.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** Felix's default health port, on loopback. */
const HEALTH_PORT = 9099

/** Enforces NetworkPolicy on the pods' interfaces, and masquerades what leaves the pod network. */
export function felix(context: WorkerContext): Component {
  return new ProcessComponent(
    {
      name: 'calico-felix',
      after: ['worker-certificates', 'worker-config', 'nllb', 'host-network', ...context.options.startAfter.api],
      wanted: () => context.config.get().network.provider !== 'custom',
      prepare: async ({ signal }) => await prepare(context, signal),
      probe: async (signal) => {
        await probeHttp(`http://127.0.0.1:${HEALTH_PORT}/readiness`, { signal })
      },
    },
    context.deps,
  )
}

async function prepare(context: WorkerContext, signal: AbortSignal): Promise<ProcessSpec> {
  const { options, layout, deps } = context
  const missing = deps.host.missingPolicyPrograms
  if (missing.length > 0) {
    throw new HostNetworkError(
      `NetworkPolicy cannot be enforced: ${missing.join(' and ')} not found on this host; install the packages iptables and ipset`,
    )
  }
  return {
    name: 'calico-felix',
    path: await deps.binaries.stage('calico-felix', { signal }),
    // Settings come by environment; the file need not exist, but its default is in a directory that is not ours.
    args: [`--config-file=${layout.felixConfigFile}`],
    env: {
      ...processEnv.felix,
      ...felixSettings({
        nodeName: options.nodeName,
        kubeconfig: identityKubeconfig(options.vars, 'felix'),
        netfilter: netfilterBackend(context),
        dualStack: context.config.get().dualStackEnabled,
      }),
      PATH: processPath(options.vars.binDir),
    },
    pidFile: join(options.vars.runDir, 'calico-felix.pid'),
    stopGraceMs: 5_000,
  }
}

/** Felix's settings by environment variable (its docs, "Configuring Felix"). Pure. */
export function felixSettings(options: {
  readonly nodeName: string
  readonly kubeconfig: string
  readonly netfilter: 'nftables' | 'iptables'
  readonly dualStack: boolean
}): Readonly<Record<string, string>> {
  return {
    KUBECONFIG: options.kubeconfig,
    FELIX_DATASTORETYPE: 'kubernetes',
    FELIX_FELIXHOSTNAME: options.nodeName,
    // This Felix writes its rules with iptables; its nft variant keeps them in nf_tables, where kube-proxy's are.
    FELIX_IPTABLESBACKEND: options.netfilter === 'nftables' ? 'nft' : 'auto',
    FELIX_IPV6SUPPORT: String(options.dualStack),
    // flannel makes the routes and the overlay; Felix's own are off.
    FELIX_VXLANENABLED: 'false',
    FELIX_IPINIPENABLED: 'false',
    FELIX_BPFENABLED: 'false',
    FELIX_XDPENABLED: 'false',
    FELIX_ROUTESOURCE: 'WorkloadIPs',
    // Pods may reach the node itself, for the kubelet, node ports and DNS; policy on the host is not ours to set.
    FELIX_DEFAULTENDPOINTTOHOSTACTION: 'ACCEPT',
    // Sets that somebody else changed are found after a minute; the default of 10 s costs one percent of a core.
    FELIX_IPSETSREFRESHINTERVAL: '60',
    FELIX_HEALTHENABLED: 'true',
    FELIX_HEALTHHOST: '127.0.0.1',
    FELIX_HEALTHPORT: String(HEALTH_PORT),
    FELIX_LOGSEVERITYSCREEN: 'warning',
    FELIX_LOGFILEPATH: 'none',
    FELIX_LOGSEVERITYFILE: 'none',
    FELIX_LOGSEVERITYSYS: 'none',
    // No outgoing connection that nobody asked for.
    FELIX_USAGEREPORTINGENABLED: 'false',
  }
}
