import { join } from 'node:path'
import type { WorkerConfig } from '#pkg/apis/worker-config.ts'
import { Latest } from '#pkg/component/worker/latest.ts'
import { workerLayout } from '#pkg/component/worker/layout.ts'
import type { NodeCredentials } from '#pkg/component/worker/node-credentials.ts'
import type { WorkerContext, WorkerNodeOptions } from '#pkg/component/worker/worker-context.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import { silentLogger } from '#pkg/log/logger.ts'

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

/** The context of a worker below `dir` that knows its configuration; what it would run is not there. */
export function testWorkerContext(dir: string, credentials: NodeCredentials): WorkerContext {
  const vars = cfgVars({ dataDir: join(dir, 'data'), runDir: join(dir, 'run'), kubeletRootDir: join(dir, 'kubelet') })
  const config = new Latest<WorkerConfig>('the worker configuration')
  config.set(testWorkerConfig())
  const absent = (): never => {
    throw new Error('not expected in this test')
  }
  return {
    options: testWorkerOptions({ vars }),
    layout: workerLayout(vars),
    config,
    localApiServer: () => 'https://127.0.0.1:7443',
    deps: {
      log: silentLogger,
      binaries: { stage: absent, self: absent },
      supervise: absent,
      runOnce: absent,
      credentials,
      host: {
        cgroupDriver: 'cgroupfs',
        snapshotter: 'overlayfs',
        hasSysResource: true,
        netfilter: (wanted) => wanted,
        modulesToLoad: [],
        missingPolicyPrograms: [],
        resolvConf: '/etc/resolv.conf',
      },
      imageArchives: () => [],
      configSource: { local: true, read: () => Promise.resolve(testWorkerConfig()) },
    },
  }
}
