import type { Logger } from '#pkg/log/logger.ts'
import type { WorkerConfig } from '#pkg/apis/worker-config.ts'
import type { Binaries } from '#pkg/assets/binaries.ts'
import type { ImageArchive } from '#pkg/assets/images.ts'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import type { Supervise } from '#pkg/supervisor/process.ts'
import type { RunOnce } from '#pkg/supervisor/run-once.ts'
import type { Latest } from '#pkg/component/worker/latest.ts'
import type { NodeCredentials } from '#pkg/component/worker/node-credentials.ts'
import type { WorkerLayout } from '#pkg/component/worker/layout.ts'

/** What the user chose for this node. */
export interface WorkerNodeOptions {
  readonly vars: CfgVars
  /** Name of the Node object: the host name in lower case unless --kubelet-extra-args has --hostname-override. */
  readonly nodeName: string
  /** `--profile`: which worker-config ConfigMap applies. Default `default`. */
  readonly profile: string
  /** `--labels`: set when the node registers. */
  readonly labels: Readonly<Record<string, string>>
  /** `--taints`, `key=value:effect` each: set when the node registers. */
  readonly taints: readonly string[]
  /** `--kubelet-extra-args`, split; they win over what is generated. */
  readonly kubeletExtraArgs: readonly string[]
  /** `--logging`: component to klog verbosity, or to level for containerd. */
  readonly logLevels: Readonly<Record<string, string>>
  /** `--cri-socket`: `remote:unix:///…`; then no containerd of ours runs. */
  readonly criSocket?: string | undefined
  /** `--enable-cloud-provider`: an external cloud controller completes the node. */
  readonly cloudProvider: boolean
  /** `host:port` of the API servers known before the worker configuration is: the token's, or the controller's own. */
  readonly apiServers: readonly string[]
  /** Address of the node; default is the one that the kernel picks towards the API server. */
  readonly nodeIp?: string | undefined
  /** Components outside the worker's graph to wait for: before credentials are made, and before the API is used. */
  readonly startAfter: {
    readonly credentials: readonly string[]
    readonly api: readonly string[]
    readonly config?: readonly string[]
  }
}

/** What was found out about the host, once, before the graph starts. */
export interface HostFacts {
  readonly cgroupDriver: 'systemd' | 'cgroupfs'
  readonly snapshotter: 'overlayfs' | 'native'
  /** Without it oom_score_adj can only be raised. */
  readonly hasSysResource: boolean
  /** What kube-proxy, flannel and Felix all use. Undefined: neither nft nor iptables is installed. */
  readonly netfilter: (wanted: 'nftables' | 'iptables') => 'nftables' | 'iptables' | undefined
  /** Kernel modules that the pod network uses and that are there but not loaded; not all are loaded on demand. */
  readonly modulesToLoad: readonly string[]
  /** Programs that Felix calls and that are not installed. */
  readonly missingPolicyPrograms: readonly string[]
  /** resolv.conf with real servers, not systemd-resolved's stub that loops in CoreDNS. */
  readonly resolvConf: string
}

/** Where the worker configuration comes from. */
export interface WorkerConfigSource {
  /** Made in this process (controller with --enable-worker): then what was remembered is not asked for. */
  readonly local: boolean
  read(signal: AbortSignal): Promise<WorkerConfig>
}

/** Collaborators of the worker's components. */
export interface WorkerDeps {
  readonly log: Logger
  readonly binaries: Binaries
  readonly supervise: Supervise
  readonly runOnce: RunOnce
  readonly credentials: NodeCredentials
  readonly host: HostFacts
  /** Archives shipped with the product. */
  readonly imageArchives: () => readonly ImageArchive[] | Promise<readonly ImageArchive[]>
  readonly configSource: WorkerConfigSource
}

/** What every component of a worker is made with. */
export interface WorkerContext {
  readonly options: WorkerNodeOptions
  readonly deps: WorkerDeps
  readonly layout: WorkerLayout
  /** Set by `worker-config` before anything that reads it starts. */
  readonly config: Latest<WorkerConfig>
  /** Base URL of the node-local load balancer: what every client on the node uses. */
  readonly localApiServer: () => string
}
