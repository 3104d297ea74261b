import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import type { TokenSource } from '#pkg/token/token-source.ts'

/** `k0s controller`, its flags read. */
export interface ControllerRoleOptions {
  readonly vars: CfgVars
  /** `--config`: a path, or `-` for standard input. */
  readonly configFile: string
  /** Of a cluster that this host is to become a controller of; read only until it has. */
  readonly joinToken?: TokenSource | undefined
  readonly enableWorker: boolean
  readonly single: boolean
  readonly noTaints: boolean
  /** `--disable-components`. */
  readonly disableComponents: readonly string[]
  readonly initOnly: boolean
  readonly dryRun: boolean
  /** `--feature-gates`. */
  readonly featureGates: Readonly<Record<string, boolean>>
  /** `--kube-controller-manager-extra-args`: one text of flags. */
  readonly kubeControllerManagerExtraArgs: string
  /** Milliseconds. */
  readonly apiServerStopTimeoutMs: number
  /** `--logging`. */
  readonly logLevels: Readonly<Record<string, string>>
  /** What follows is for the worker in the same process. */
  readonly profile: string
  readonly labels: readonly string[]
  readonly taints: readonly string[]
  readonly kubeletExtraArgs: string
  readonly criSocket?: string | undefined
  readonly cloudProvider: boolean
  readonly ignorePreFlightChecks: boolean
  /** Version of the product, and the command line, for the status socket. */
  readonly version: string
  readonly args: readonly string[]
}

/** Whether pods run on this host too. */
export function runsWorker({ single, enableWorker }: ControllerRoleOptions): boolean {
  return single || enableWorker
}
