import type { WorkerConfig } from '#pkg/apis/worker-config.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import type { WorkerNodeOptions } from '#pkg/component/worker/worker-context.ts'

/** A worker configuration as a default cluster has it. */
export function testWorkerConfig(overrides: Partial<WorkerConfig> = {}): WorkerConfig {
  return {
    apiServerAddresses: ['10.0.0.1:6443'],
    kubeletConfiguration: { clusterDNS: ['10.96.0.10'], clusterDomain: 'cluster.local', failSwapOn: false },
    konnectivity: { agentPort: 8132 },
    nodeLocalLoadBalancing: { apiServerBindPort: 7443 },
    pauseImage: 'k0s.local/pause:v1.0.0',
    dualStackEnabled: false,
    clusterDNS: '10.96.0.10',
    clusterDomain: 'cluster.local',
    network: {
      provider: 'flannel',
      podCIDR: '10.244.0.0/16',
      serviceCIDR: '10.96.0.0/12',
      flannel: { backend: 'vxlan', vni: 1, port: 0, mtu: 0 },
    },
    kubeProxy: {
      disabled: false,
      mode: 'nftables',
      metricsBindAddress: '0.0.0.0:10249',
      healthzBindAddress: '0.0.0.0:10256',
      nodePortAddresses: [],
      iptables: {},
      nftables: {},
      featureGates: {},
      extraArgs: {},
      rawArgs: [],
    },
    ...overrides,
  }
}

/** A worker called w0 with default paths. */
export function testWorkerOptions(overrides: Partial<WorkerNodeOptions> = {}): WorkerNodeOptions {
  return {
    vars: cfgVars({ runDir: '/run/k0s' }),
    nodeName: 'w0',
    profile: 'default',
    labels: {},
    taints: [],
    kubeletExtraArgs: [],
    logLevels: {},
    cloudProvider: false,
    apiServers: ['10.0.0.1:6443'],
    startAfter: { credentials: [], api: [] },
    ...overrides,
  }
}
