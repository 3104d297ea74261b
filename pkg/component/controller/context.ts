import type { Binaries } from '#pkg/assets/binaries.ts'
import type { ResolvedSpec } from '#pkg/config/load.ts'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import type { UserIds } from '#pkg/file/user.ts'
import type { Supervise } from '#pkg/supervisor/process.ts'

/** What the components of a controller are made with. */
export interface ControllerOptions {
  readonly vars: CfgVars
  readonly spec: ResolvedSpec
  /** Name of this host. */
  readonly nodeName: string
  readonly users: ComponentUsers
  /** `--single`: nothing can join, so nothing needs a leader election. */
  readonly single: boolean
  /** `--logging`: component to klog verbosity, or to level for etcd. */
  readonly logLevels: Readonly<Record<string, string>>
  /** `--feature-gates`: for every component of Kubernetes; they win over spec.featureGates. */
  readonly featureGates: Readonly<Record<string, boolean>>
  /** `--kube-controller-manager-extra-args`, split; appended last. */
  readonly controllerManagerExtraArgs: readonly string[]
  /** `--api-server-stop-timeout`, milliseconds. */
  readonly apiServerStopTimeoutMs: number
  /** False with `--disable-components konnectivity-server`: the API server then dials kubelets itself. */
  readonly tunnel: boolean
  /** Other controllers can join this one, so that it serves the join API. */
  readonly joinable: boolean
}

/** Collaborators of the components of a controller. */
export interface ControllerDeps {
  readonly binaries: Binaries
  readonly supervise: Supervise
}

/** System users of the parts; undefined where there is no such user: the part then runs as the supervisor's. */
export interface ComponentUsers {
  readonly etcd: UserIds | undefined
  readonly kine: UserIds | undefined
  readonly konnectivity: UserIds | undefined
  readonly apiServer: UserIds | undefined
  readonly scheduler: UserIds | undefined
  /** The join API. */
  readonly api: UserIds | undefined
}

/** `https://host:port` by which processes on this host reach its API server. */
export function localApiServer({ api }: ResolvedSpec): string {
  const host = api.onlyBindToAddress ? api.address : '127.0.0.1'
  return `https://${host.includes(':') ? `[${host}]` : host}:${api.port}`
}

/** Name of the component that the API server keeps its objects in; undefined when that is not of this host. */
export function storageComponent({ storage }: ResolvedSpec): 'etcd' | 'kine' | undefined {
  if (storage.type === 'kine') return 'kine'
  return storage.etcd.externalCluster === undefined ? 'etcd' : undefined
}
