import type { Component } from '#pkg/component/component.ts'
import type { WorkerConfig } from '#pkg/apis/worker-config.ts'
import { modes } from '#pkg/constant/files.ts'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import type { KubeObject, ResourceRef } from '#pkg/kubernetes/types.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** The configuration that the controllers offer cannot be used by this worker. */
export class WorkerConfigError extends K0sError {
  override readonly code = 'ERR_WORKER_CONFIG'
}

/** Kubernetes minor version that names the ConfigMap: a worker of another version finds its own. */
const VERSION = '1.36'

/** Where worker configurations are. */
export const workerConfigRef: ResourceRef = inNamespace(resources.configMaps, 'kube-system')

/** Name of the ConfigMap of a worker profile. */
export function workerConfigName(profile: string): string {
  return `worker-config-${profile}-${VERSION}`
}

/** A ConfigMap with the worker configuration, one field a key. */
export interface WorkerConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
}

/**
 * Decodes the ConfigMap; every value is JSON. Fields of a newer controller are passed over, missing ones are an error.
 *
 * @throws WorkerConfigError naming the ConfigMap and the field
 */
export function decodeWorkerConfig(map: WorkerConfigMap): WorkerConfig {
  const { name } = map.metadata
  const fields = Object.fromEntries(
    Object.entries(map.data ?? {}).map(([key, value]) => {
      try {
        return [key, JSON.parse(value) as unknown]
      } catch (cause) {
        throw new WorkerConfigError(
          `ConfigMap kube-system/${name}: the value of ${key} is not JSON; restart a controller to write it again`,
          { cause },
        )
      }
    }),
  )
  for (const key of requiredFields) {
    if (fields[key] === undefined) {
      throw new WorkerConfigError(
        `ConfigMap kube-system/${name} has no ${key}; use controllers and workers of the same version`,
      )
    }
  }
  return fields as unknown as WorkerConfig
}

const requiredFields = [
  'apiServerAddresses',
  'kubeletConfiguration',
  'konnectivity',
  'nodeLocalLoadBalancing',
  'pauseImage',
  'network',
  'kubeProxy',
] as const satisfies readonly (keyof WorkerConfig)[]

/** What is kept on disk: the configuration, and which profile it is of. */
interface Remembered {
  readonly profile: string
  readonly config: WorkerConfig
}

/** Reads the remembered configuration of `profile`; undefined when there is none or it cannot be read. */
export async function recallWorkerConfig(file: string, profile: string): Promise<WorkerConfig | undefined> {
  const remembered = await recall(file)
  return remembered?.profile === profile ? remembered.config : undefined
}

/** `host:port` of the API servers that this node knew last, under whatever profile; none when it knew none. */
export async function recallApiServers(file: string): Promise<readonly string[]> {
  return (await recall(file))?.config.apiServerAddresses ?? []
}

async function recall(file: string): Promise<Remembered | undefined> {
  const text = await readIfExists(file)
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as Remembered
  } catch {
    return undefined // torn by a crash of the machine: it is read from the API again
  }
}

/** Keeps the configuration for a start without controllers. */
export async function rememberWorkerConfig(file: string, remembered: Remembered): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify(remembered, undefined, 2)}\n`, { mode: modes.secretFile })
}

/** Reads the ConfigMap of `profile`. @throws WorkerConfigError when there is no such profile */
export async function fetchWorkerConfig(
  client: KubeClient,
  profile: string,
  signal: AbortSignal,
): Promise<WorkerConfig> {
  return decodeWorkerConfig(await client.get<WorkerConfigMap>(workerConfigRef, workerConfigName(profile), { signal }))
}

/**
 * Makes the worker configuration known to the rest of the graph: from the controller in this process, from what was
 * remembered, or from the API. What was remembered is brought up to date by `worker-config-watcher` later.
 */
export function workerConfig(context: WorkerContext): Component {
  const { deps, layout, options } = context
  return {
    name: 'worker-config',
    after: options.startAfter.config ?? [],
    start: async ({ signal, log }) => {
      const { profile } = options
      const { configSource } = deps
      const remembered = configSource.local ? undefined : await recallWorkerConfig(layout.rememberedConfigFile, profile)
      const config = remembered ?? (await configSource.read(signal))
      context.config.set(config)
      await rememberWorkerConfig(layout.rememberedConfigFile, { profile, config }).catch((err: unknown) => {
        throw new WorkerConfigError(
          `cannot write ${layout.rememberedConfigFile}: ${errorMessage(err)}; make room or correct its permissions`,
          { cause: err },
        )
      })
      log.info('worker configuration known', { profile, remembered: remembered !== undefined })
    },
    ready: async () => await Promise.resolve(),
    stop: async () => await Promise.resolve(),
  }
}
