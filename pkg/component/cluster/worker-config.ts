import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import type { Component, StartContext } from '#pkg/component/component.ts'
import {
  profileNames,
  renderWorkerConfig,
  workerConfigMap,
  type WorkerConfigFacts,
} from '#pkg/component/cluster/worker-config-render.ts'
import { applyUntilDone } from '#pkg/kubernetes/apply.ts'
import { ResourceMapper } from '#pkg/kubernetes/discovery.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** What the worker configurations are made of. */
export interface WorkerConfigPublisherOptions extends WorkerConfigFacts {
  readonly spec: ClusterSpec
}

/** Applies the ConfigMap kube-system/worker-config-<profile>-<minor> of every profile, at every start. */
export class WorkerConfigPublisher implements Component {
  readonly name = 'worker-config-publisher'
  readonly after = ['kube-apiserver']
  readonly #options: WorkerConfigPublisherOptions
  readonly #client: ClientSource

  constructor(options: WorkerConfigPublisherOptions, deps: { readonly client: ClientSource }) {
    this.#options = options
    this.#client = deps.client
  }

  async start({ signal, log }: StartContext): Promise<void> {
    const client = await this.#client.get()
    const objects = workerConfigMaps(this.#options)
    await applyUntilDone(objects, { client, mapper: new ResourceMapper(client) }, { signal, log })
  }

  /** Nothing runs after the start. */
  ready(): Promise<void> {
    return Promise.resolve()
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }
}

/** The ConfigMaps of all profiles. Pure. */
export function workerConfigMaps({ spec, ...facts }: WorkerConfigPublisherOptions): readonly KubeObject[] {
  return profileNames(spec).map((profile) => workerConfigMap(profile, renderWorkerConfig(spec, facts, profile)))
}
