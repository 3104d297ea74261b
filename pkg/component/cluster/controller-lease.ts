import type { Component, StartContext } from '#pkg/component/component.ts'
import { Background } from '#pkg/component/cluster/background.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import type { Lease } from '#pkg/kubernetes/lease.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import { kubeMicroTime } from '#pkg/kubernetes/time.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** One controller as the others see it. */
export interface ControllerFacts {
  /** Name of its host. */
  readonly name: string
  /** `host:port` of its API server. */
  readonly apiServer: string
  /** What clients reach it by: no kubelet gets a certificate for these. */
  readonly dnsNames: readonly string[]
  readonly ips: readonly string[]
  /** Name of its Node, where it runs pods too. */
  readonly node?: string | undefined
}

/** Where the leases of controllers are. Kubelets may write there only the lease of their own name (NodeRestriction). */
export const controllerLeaseRef = inNamespace(resources.leases, 'kube-node-lease')
/** What the leases of controllers have and those of kubelets have not. */
export const controllerLeaseLabel = 'k0s.k0sproject.io/controller-lease'
/** Begins the names of these leases; no node may be called so. */
export const CONTROLLER_LEASE_PREFIX = 'k0s-ctrl-'
const factsAnnotation = 'k0s.k0sproject.io/controller'

/** How often a controller renews its lease. */
export const LEASE_RENEW_EVERY_MS = 10_000
const DURATION_SECONDS = 60
const RETRY_MS = 1_000
const CALL_TIMEOUT_MS = 10_000

/** The lease of a controller, with what the others need to know of it. Pure. */
export function controllerLease(facts: ControllerFacts, now: Date, present?: Lease): Lease {
  const { name, ...rest } = facts
  const renewTime = kubeMicroTime(now)
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      ...present?.metadata,
      name: `${CONTROLLER_LEASE_PREFIX}${name}`,
      namespace: 'kube-node-lease',
      labels: { ...present?.metadata.labels, [controllerLeaseLabel]: 'true' },
      annotations: { ...present?.metadata.annotations, [factsAnnotation]: JSON.stringify(rest) },
    },
    spec: {
      holderIdentity: name,
      leaseDurationSeconds: DURATION_SECONDS,
      acquireTime: present?.spec?.acquireTime ?? renewTime,
      renewTime,
    },
  }
}

/** What a lease says of its controller; undefined when it is not one that a controller wrote. Pure. */
export function controllerFacts({ metadata, spec }: Lease): ControllerFacts | undefined {
  const name = spec?.holderIdentity ?? ''
  if (name === '' || metadata.name !== `${CONTROLLER_LEASE_PREFIX}${name}`) return undefined
  try {
    const facts = JSON.parse(metadata.annotations?.[factsAnnotation] ?? '') as Partial<ControllerFacts>
    const { apiServer, dnsNames = [], ips = [], node } = facts
    return typeof apiServer === 'string' ? { name, apiServer, dnsNames, ips, node } : undefined
  } catch {
    return undefined
  }
}

/** Keeps the lease of this controller while it runs. Ready once the others can see it. */
export class ControllerLease implements Component {
  readonly name = 'controller-lease'
  readonly after = ['kube-apiserver']
  readonly #facts: ControllerFacts
  readonly #client: ClientSource
  readonly #background = new Background()
  #reason: string | undefined = 'not written yet'

  constructor(facts: ControllerFacts, deps: { readonly client: ClientSource }) {
    this.#facts = facts
    this.#client = deps.client
  }

  async start({ log }: StartContext): Promise<void> {
    const client = await this.#client.get()
    this.#background.begin(async (signal) => {
      for (;;) {
        try {
          await withDeadline(signal, CALL_TIMEOUT_MS, (deadline) => renew(client, this.#facts, deadline))
          this.#reason = undefined
        } catch (err) {
          signal.throwIfAborted()
          this.#reason = errorMessage(err)
          log.debug('lease of this controller not renewed', { err: this.#reason })
        }
        await sleep(this.#reason === undefined ? LEASE_RENEW_EVERY_MS : RETRY_MS, { signal })
      }
    })
  }

  ready(): Promise<void> {
    return this.#reason === undefined ? Promise.resolve() : Promise.reject(new Error(this.#reason))
  }

  async stop(): Promise<void> {
    await this.#background.stop()
  }
}

async function renew(client: KubeClient, facts: ControllerFacts, signal: AbortSignal): Promise<void> {
  const ref = controllerLeaseRef
  const name = `${CONTROLLER_LEASE_PREFIX}${facts.name}`
  const present = await client.find<Lease>(ref, name, { signal })
  const lease = controllerLease(facts, new Date(), present)
  if (present === undefined) await client.create(ref, lease, { signal })
  else await client.replace(ref, name, lease, { signal })
}
