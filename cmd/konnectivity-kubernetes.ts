import type { FollowedLease } from '#konnectivity/agent/lease-counter.ts'
import type { AgentMetrics } from '#konnectivity/agent/metrics.ts'
import type { ServerLease, ServerLeaseStore, TokenReviewer } from '#konnectivity/server/kubernetes.ts'
import { failureOf } from '#konnectivity/server/kubernetes.ts'
import { UsageError } from '#pkg/errors/usage.ts'
import type { KubeClient, KubeClientOptions } from '#pkg/kubernetes/client.ts'
import { inClusterAccess } from '#pkg/kubernetes/in-cluster.ts'
import { loadKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import type { Lease } from '#pkg/kubernetes/lease.ts'
import { reflect } from '#pkg/kubernetes/reflector.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import { kubeMicroTime } from '#pkg/kubernetes/time.ts'
import { resourcePath, type KubeObject } from '#pkg/kubernetes/types.ts'
import type { Logger } from '#pkg/log/logger.ts'

/**
 * The cluster of `--kubeconfig` or, as upstream's programs do it, the one that this process is a pod of.
 *
 * @throws UsageError, KubeconfigError or InClusterError
 */
export async function clusterAccess(
  kubeconfig: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<KubeClientOptions> {
  if (kubeconfig !== undefined) return loadKubeconfig(kubeconfig)
  if (env['KUBERNETES_SERVICE_HOST'] === undefined) throw new UsageError('--kubeconfig is required outside of a pod')
  return inClusterAccess(env)
}

/** Which Leases are the servers'. */
export interface ServerLeasesOptions {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
}

/** The servers' Leases in a cluster. */
export function kubeLeaseStore(options: ServerLeasesOptions, client: KubeClient): ServerLeaseStore {
  const { namespace, labels } = options
  const ref = inNamespace(resources.leases, namespace)
  return {
    list: async ({ signal }) => {
      const { items } = await client.list<Lease>(ref, { labelSelector: selectorOf(labels), signal })
      return items.map(leaseOf)
    },
    renew: async ({ name, holder, durationSeconds }, { signal }) => {
      const now = kubeMicroTime(new Date())
      const spec = { holderIdentity: holder, leaseDurationSeconds: durationSeconds, renewTime: now }
      const present = await client.find<Lease>(ref, name, { signal })
      if (present === undefined) {
        const metadata = { name, namespace, labels }
        const body = {
          apiVersion: 'coordination.k8s.io/v1',
          kind: 'Lease',
          metadata,
          spec: { ...spec, acquireTime: now },
        }
        return versionOf(await client.create<KubeObject>(ref, body, { signal }))
      }
      const metadata = { ...present.metadata, labels: { ...present.metadata.labels, ...labels } }
      const body = { ...present, metadata, spec: { ...present.spec, ...spec } }
      return versionOf(await client.replace<KubeObject>(ref, name, body, { signal }))
    },
    remove: async ({ name, resourceVersion }, { signal }) => {
      await client.request('DELETE', resourcePath(ref, name), { body: { preconditions: { resourceVersion } }, signal })
    },
  }
}

/** TokenReview of a cluster. */
export function kubeTokenReviewer(client: KubeClient): TokenReviewer {
  const path = '/apis/authentication.k8s.io/v1/tokenreviews'
  return {
    review: async (token, audience, { signal }) => {
      const body = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        metadata: {},
        spec: { token, audiences: [audience] },
      }
      const { status = {} } = await client.request<TokenReview>('POST', path, { body, signal })
      const { authenticated = false, user, audiences = [], error = '' } = status
      return { authenticated: authenticated && error === '', username: user?.username ?? '', audiences, error }
    },
  }
}

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean
    readonly user?: { readonly username?: string }
    readonly audiences?: readonly string[]
    readonly error?: string
  }
}

/** Follows the servers' Leases until `signal` aborts. */
export async function followServerLeases(
  client: KubeClient,
  options: { readonly namespace: string; readonly labelSelector: string },
  deps: {
    readonly onLeases: (leases: readonly FollowedLease[]) => void
    readonly metrics: AgentMetrics
    readonly signal: AbortSignal
    readonly log: Logger
  },
): Promise<void> {
  const { namespace, labelSelector } = options
  const { onLeases, metrics, signal, log } = deps
  await reflect<Lease>(observing(client, metrics), inNamespace(resources.leases, namespace), {
    labelSelector,
    signal,
    log,
    onState: (leases) => onLeases([...leases.values()].map(leaseOf)),
  })
}

/** The client, with its lists and watches counted under upstream's names. */
function observing(client: KubeClient, metrics: AgentMetrics): Pick<KubeClient, 'list' | 'watch'> {
  return {
    list: async (ref, options) => {
      const startedAt = performance.now()
      const observe = (status: number, reason: string): void => {
        metrics.leaseLists.add({ http_response_code: String(status), reason })
        const seconds = (performance.now() - startedAt) / 1_000
        metrics.leaseListLatency.observe(seconds, { http_response_code: String(status) })
      }
      try {
        const list = await client.list<never>(ref, options)
        observe(200, '')
        return list
      } catch (error) {
        const { status, reason } = failureOf(error)
        observe(status, reason)
        throw error
      }
    },
    watch: async function* (ref, options) {
      try {
        metrics.leaseWatches.add({ http_response_code: '200', reason: '' })
        yield* client.watch<never>(ref, options)
      } catch (error) {
        const { status, reason } = failureOf(error)
        metrics.leaseWatches.add({ http_response_code: String(status), reason })
        throw error
      }
    },
  }
}

function leaseOf({ metadata, spec = {} }: Lease): ServerLease {
  const renewed = spec.renewTime ?? spec.acquireTime
  return {
    name: metadata.name,
    resourceVersion: metadata.resourceVersion ?? '',
    renewedAt: renewed === undefined ? undefined : new Date(renewed),
    durationSeconds: spec.leaseDurationSeconds ?? 0,
  }
}

function versionOf({ metadata }: KubeObject): string {
  return metadata.resourceVersion ?? ''
}

/** `a=b,c=d` of labels. */
function selectorOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',')
}
