import { isDeepStrictEqual } from 'node:util'
import type { Component } from '#pkg/component/component.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { loadKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import { reflect } from '#pkg/kubernetes/reflector.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { identityKubeconfig } from '#pkg/component/worker/layout.ts'
import type { WorkerCertificates } from '#pkg/component/worker/worker-certificates.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'
import {
  decodeWorkerConfig,
  rememberWorkerConfig,
  workerConfigName,
  workerConfigRef,
  type WorkerConfigMap,
} from '#pkg/component/worker/worker-config.ts'

/**
 * Follows the worker configuration while the worker runs, with the worker's own identity. The load balancer and the tunnel
 * agent take new addresses of controllers at once; the rest applies at the next start.
 */
export function workerConfigWatcher(context: WorkerContext, certificates: WorkerCertificates): Component {
  let end: (() => Promise<void>) | undefined
  let unlisten: (() => void) | undefined
  /** One replacement after the other; stop() waits for the last. */
  let last: Promise<void> = Promise.resolve()
  return {
    name: 'worker-config-watcher',
    after: ['worker-certificates', 'worker-config', 'nllb', ...context.options.startAfter.api],
    start: async ({ log }) => {
      end = await follow(context, log)
      const replace = async (): Promise<void> => {
        const old = end
        end = await follow(context, log)
        await old?.()
      }
      unlisten = certificates.onRenewed((identity) => {
        if (identity === 'worker')
          last = last.then(replace).catch((err: unknown) => log.warn('watch not renewed', { err: errorMessage(err) }))
      })
    },
    ready: async () => await Promise.resolve(),
    stop: async () => {
      unlisten?.()
      await last
      await end?.()
      end = undefined
    },
  }
}

/** Starts to follow; the result ends that. */
async function follow(context: WorkerContext, log: Logger): Promise<() => Promise<void>> {
  const { options } = context
  const stopping = new AbortController()
  const client = new KubeClient(await loadKubeconfig(identityKubeconfig(options.vars, 'worker')))
  const name = workerConfigName(options.profile)
  const running = reflect<WorkerConfigMap>(client, workerConfigRef, {
    fieldSelector: `metadata.name=${name}`,
    signal: stopping.signal,
    log,
    onState: async (objects) => {
      for (const map of objects.values()) await apply(context, map, log)
    },
  })
  return async () => {
    stopping.abort(new Error('stopping'))
    await running
    client.close()
  }
}

async function apply({ config, layout, options }: WorkerContext, map: WorkerConfigMap, log: Logger): Promise<void> {
  try {
    const next = decodeWorkerConfig(map)
    if (isDeepStrictEqual(next, config.peek())) return
    const { profile } = options
    await rememberWorkerConfig(layout.rememberedConfigFile, { profile, config: next })
    config.set(next)
    log.info('worker configuration changed', { profile, apiServers: next.apiServerAddresses })
  } catch (err) {
    log.warn('worker configuration not taken over', { err: errorMessage(err) })
  }
}
