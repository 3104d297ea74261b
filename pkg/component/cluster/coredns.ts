import type { Component } from '#pkg/component/component.ts'
import { Addon } from '#pkg/component/cluster/addon.ts'
import { coreDnsObjects, type CoreDnsOptions } from '#pkg/component/cluster/coredns-render.ts'
import { patchObjects, type ObjectPatches } from '#pkg/component/cluster/patch-objects.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { isNotFound } from '#pkg/kubernetes/errors.ts'
import { reflect } from '#pkg/kubernetes/reflector.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Options of the component. */
export interface CoreDnsComponentOptions extends CoreDnsOptions {
  readonly manifestsDir: string
  readonly patches: ObjectPatches
}

/**
 * Cluster DNS: writes stack `coredns`, and scales the Deployment with the number of nodes unless a patch says how many.
 *
 * @throws PatchError
 */
export function coreDns(options: CoreDnsComponentOptions, { client }: { readonly client: ClientSource }): Component {
  // Rendered here already, so that a patch that does not fit fails before anything is started.
  const patched = patchObjects(coreDnsObjects(options), options.patches)
  const isScaled = patched.objects.some(({ kind, spec }) => kind === 'Deployment' && hasReplicas(spec))
  return new Addon(
    { name: 'coredns', manifestsDir: options.manifestsDir },
    {
      client,
      objects: () => patched,
      keep: (of, context) => (isScaled ? Promise.resolve() : scaleWithNodes(of, context)),
    },
  )
}

function hasReplicas(spec: unknown): boolean {
  return (spec as { readonly replicas?: number } | undefined)?.replicas !== undefined
}

/** What of a Node decides about replicas. */
interface Node extends KubeObject {
  readonly spec?: { readonly unschedulable?: boolean }
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

/**
 * One replica on one node, a second one once a second node can take it: a lost node does not take DNS with it. Undefined:
 * leave it as it is, for a node that is only away for now.
 */
export function coreDnsReplicas(nodes: readonly Node[]): 1 | 2 | undefined {
  const usable = nodes.filter(
    ({ spec, status }) =>
      spec?.unschedulable !== true &&
      status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true,
  )
  if (usable.length > 1) return 2
  return nodes.length > 1 ? undefined : 1
}

async function scaleWithNodes(
  client: KubeClient,
  { signal, log }: { signal: AbortSignal; log: Logger },
): Promise<void> {
  let scaledTo: number | undefined
  await reflect<Node>(client, resources.nodes, {
    signal,
    log,
    onState: async (nodes) => {
      const replicas = coreDnsReplicas([...nodes.values()])
      if (replicas === undefined || replicas === scaledTo) return
      await scale(client, replicas, { signal, log })
      scaledTo = replicas
    },
  })
}

/** Scales until it took; the Deployment may be a moment away from being applied. */
async function scale(
  client: KubeClient,
  replicas: number,
  options: { signal: AbortSignal; log: Logger },
): Promise<void> {
  const { signal, log } = options
  const deployments = inNamespace(resources.deployments, 'kube-system')
  for (;;) {
    try {
      const patch = { spec: { replicas } }
      await client.patch(deployments, 'coredns', patch, { type: 'merge', subresource: 'scale', signal })
      return
    } catch (thrown) {
      signal.throwIfAborted()
      if (!isNotFound(thrown)) log.debug('coredns not scaled yet', { replicas, err: errorMessage(thrown) })
      await sleep(RETRY_MS, { signal })
    }
  }
}

const RETRY_MS = 1_000
