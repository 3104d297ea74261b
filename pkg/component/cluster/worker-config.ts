import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import type { Controllers } from '#pkg/component/cluster/controllers.ts'
import type { LeaderTask } from '#pkg/component/cluster/leader.ts'
import {
  DEFAULT_PROFILE,
  profileNames,
  renderWorkerConfig,
  workerConfigMap,
  type WorkerConfigFacts,
} from '#pkg/component/cluster/worker-config-render.ts'
import type { Component } from '#pkg/component/component.ts'
import { workerConfigName, workerConfigRef } from '#pkg/component/worker/worker-config.ts'
import { applyUntilDone } from '#pkg/kubernetes/apply.ts'
import { ResourceMapper } from '#pkg/kubernetes/discovery.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** What the worker configurations are made of. */
export interface WorkerConfigPublisherOptions extends WorkerConfigFacts {
  readonly spec: ClusterSpec
}

/** Collaborators of the publisher. */
export interface WorkerConfigPublisherDeps {
  readonly client: ClientSource
  readonly controllers: Pick<Controllers, 'all' | 'follow'>
}

/**
 * The leader's part: applies the ConfigMap kube-system/worker-config-<profile>-<minor> of every profile, and again when
 * a controller comes or goes. `apiServerAddresses` of `options` are this controller's own.
 */
export function publishWorkerConfig(
  options: WorkerConfigPublisherOptions,
  deps: WorkerConfigPublisherDeps,
): LeaderTask {
  const { client: source, controllers } = deps
  return {
    name: 'worker-config',
    run: async (signal, log) => {
      const client = await source.get()
      const mapper = new ResourceMapper(client)
      for (let published = ''; ;) {
        const changed = changeOf(controllers, signal)
        const apiServerAddresses = apiServers(options.apiServerAddresses, controllers.all())
        if (apiServerAddresses.join() !== published) {
          const objects = workerConfigMaps({ ...options, apiServerAddresses })
          await applyUntilDone(objects, { client, mapper }, { signal, log })
          published = apiServerAddresses.join()
          log.info('worker configuration published', { apiServers: apiServerAddresses })
        }
        await changed
        signal.throwIfAborted()
      }
    },
  }
}

/** Ready once workers can read their configuration, whichever controller has written it. */
export function workerConfigPublished(deps: { readonly client: ClientSource }): Component {
  return {
    name: 'worker-config-publisher',
    after: ['cluster-leader'],
    start: () => Promise.resolve(),
    ready: async (signal) => {
      const client = await deps.client.get()
      await client.get(workerConfigRef, workerConfigName(DEFAULT_PROFILE), { signal })
    },
    stop: () => Promise.resolve(),
  }
}

/** Every controller that has a lease, also one that is down: it comes back. Pure. */
export function apiServers(
  own: readonly string[],
  controllers: readonly { readonly apiServer: string }[],
): readonly string[] {
  return [...new Set([...own, ...controllers.map(({ apiServer }) => apiServer)])].sort()
}

/** The ConfigMaps of all profiles. Pure. */
export function workerConfigMaps({ spec, ...facts }: WorkerConfigPublisherOptions): readonly KubeObject[] {
  return profileNames(spec).map((profile) => workerConfigMap(profile, renderWorkerConfig(spec, facts, profile)))
}

/** Resolves at the next change of the controllers, or when `signal` aborts. */
async function changeOf(controllers: Pick<Controllers, 'follow'>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const done = (): void => resolve(undefined)
  const unfollow = controllers.follow(done)
  signal.addEventListener('abort', done, { once: true })
  if (signal.aborted) done()
  try {
    await promise
  } finally {
    unfollow()
    signal.removeEventListener('abort', done)
  }
}
