import type { Component } from '#pkg/component/component.ts'
import { Background } from '#pkg/component/cluster/background.ts'
import { metricsServerTlsSecret } from '#pkg/component/cluster/metrics-server-render.ts'
import { componentStacks, removeStack, type StackOwner } from '#pkg/component/cluster/stack-files.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { isNotFound } from '#pkg/kubernetes/errors.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

const RETRY_MS = 1_000

/**
 * Removes what components that do not run any more (`--disable-components`, another network provider) left in the
 * cluster: their files here, whereupon the applier prunes the objects, and what they made besides.
 */
export function retiredStacks(
  options: { readonly manifestsDir: string; readonly owners: readonly StackOwner[] },
  deps: { readonly client: ClientSource },
): Component {
  const background = new Background()
  return {
    name: 'retired-stacks',
    after: ['kube-apiserver'],
    start: async ({ log }) => {
      for (const owner of options.owners) {
        if (await removeStack(options.manifestsDir, owner)) {
          log.info('stack of a disabled component removed', { stack: componentStacks[owner].folder })
        }
      }
      const client = await deps.client.get()
      if (options.owners.includes('metrics-server')) {
        background.begin((signal) => removeServingCertificate(client, { signal, log }))
      }
    },
    ready: () => Promise.resolve(),
    stop: () => background.stop(),
  }
}

/** It is not part of the stack: no two controllers would write the same one. */
async function removeServingCertificate(
  client: KubeClient,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  const { namespace, name } = metricsServerTlsSecret
  for (;;) {
    try {
      await client.delete(inNamespace(resources.secrets, namespace), name, { signal })
      return
    } catch (thrown) {
      signal.throwIfAborted()
      if (isNotFound(thrown)) return
      log.debug('certificate of metrics-server not removed yet', { err: errorMessage(thrown) })
      await sleep(RETRY_MS, { signal })
    }
  }
}
