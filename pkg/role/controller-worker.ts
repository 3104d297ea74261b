import { createBinaries } from '#pkg/assets/binaries.ts'
import { imageArchives } from '#pkg/assets/images.ts'
import { goDurationMs } from '#pkg/apis/duration.ts'
import type { WorkerConfig } from '#pkg/apis/worker-config.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import type { Component } from '#pkg/component/component.ts'
import type { PkiSource } from '#pkg/component/controller/certificates.ts'
import { readHostFacts } from '#pkg/component/worker/host-facts.ts'
import type { NodeCredentials } from '#pkg/component/worker/node-credentials.ts'
import type { WorkerDeps, WorkerNodeOptions } from '#pkg/component/worker/worker-context.ts'
import type { NodeConfig } from '#pkg/config/load.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { joinHostPort } from '#pkg/net/ip.ts'
import type { ControllerRoleOptions } from '#pkg/role/controller-options.ts'
import { workerComponents } from '#pkg/role/worker-components.ts'
import { kubeletHostName, parseLabels, splitWords } from '#pkg/role/worker-flags.ts'
import { supervise } from '#pkg/supervisor/process.ts'
import { runOnce } from '#pkg/supervisor/run-once.ts'

/** Keeps pods that do not ask for it off a controller; removed by --no-taints and --single. */
const controlPlaneTaint = 'node-role.kubernetes.io/control-plane:NoSchedule'

/** What the worker of a controller gets from it. */
export interface LocalWorkerDeps {
  readonly log: Logger
  readonly pki: PkiSource
  /** The configuration of this node's profile, rendered here. */
  readonly workerConfig: () => WorkerConfig
}

/** Name of the Node object of this host. */
export function workerNodeName({ kubeletExtraArgs }: ControllerRoleOptions, { nodeName }: NodeConfig): string {
  return kubeletHostName(splitWords(kubeletExtraArgs)) ?? nodeName
}

/** The graph of a worker in the process of a controller: credentials are signed here, no token is involved. */
export async function localWorker(
  options: ControllerRoleOptions,
  config: NodeConfig,
  { log, pki, workerConfig }: LocalWorkerDeps,
): Promise<readonly Component[]> {
  const { vars, spec } = config
  const node: WorkerNodeOptions = {
    vars,
    profile: options.profile,
    nodeName: workerNodeName(options, config),
    labels: { 'node.k0sproject.io/role': 'control-plane', ...parseLabels(options.labels) },
    taints: [...(options.noTaints || options.single ? [] : [controlPlaneTaint]), ...options.taints],
    kubeletExtraArgs: splitWords(options.kubeletExtraArgs),
    logLevels: options.logLevels,
    criSocket: options.criSocket,
    cloudProvider: options.cloudProvider,
    apiServers: [joinHostPort(spec.api.address, spec.api.port)],
    nodeIp: spec.api.address,
    startAfter: { credentials: ['certificates'], api: ['kube-apiserver'] },
  }
  const deps: WorkerDeps = {
    log,
    binaries: createBinaries({ binDir: vars.binDir }),
    supervise,
    runOnce,
    credentials: localCredentials(pki, goDurationMs(spec.api.ca.certificatesExpireAfter) ?? 0),
    host: await readHostFacts(vars.binDir),
    imageArchives,
    configSource: { local: true, read: () => Promise.resolve(workerConfig()) },
  }
  return workerComponents(node, deps, options.disableComponents)
}

/** Client certificates of this node, signed with the authority on its disk. */
function localCredentials(pki: PkiSource, validForMs: number): NodeCredentials {
  return {
    get caPem() {
      return pki.material().authorities.ca.certPem
    },
    certify: ({ commonName, organizations, keyPem }) => {
      const request = { commonName, organizations, usages: ['client'], validForMs } as const
      return Promise.resolve(issueCertificate(pki.material().authorities.ca, request, { keyPem }).certPem)
    },
  }
}
