import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import { appliedAtStart } from '#pkg/component/cluster/applied-at-start.ts'
import type { Component } from '#pkg/component/component.ts'
import {
  profileNames,
  renderWorkerConfig,
  workerConfigMap,
  type WorkerConfigFacts,
} from '#pkg/component/cluster/worker-config-render.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** What the worker configurations are made of. */
export interface WorkerConfigPublisherOptions extends WorkerConfigFacts {
  readonly spec: ClusterSpec
}

/** Applies the ConfigMap kube-system/worker-config-<profile>-<minor> of every profile, at every start. */
export function workerConfigPublisher(
  options: WorkerConfigPublisherOptions,
  deps: { readonly client: ClientSource },
): Component {
  return appliedAtStart('worker-config-publisher', () => workerConfigMaps(options), deps)
}

/** The ConfigMaps of all profiles. Pure. */
export function workerConfigMaps({ spec, ...facts }: WorkerConfigPublisherOptions): readonly KubeObject[] {
  return profileNames(spec).map((profile) => workerConfigMap(profile, renderWorkerConfig(spec, facts, profile)))
}
