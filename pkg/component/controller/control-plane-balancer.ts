import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { Background } from '#pkg/component/cluster/background.ts'
import type { Component, StartContext } from '#pkg/component/component.ts'
import type { PkiSource } from '#pkg/component/controller/certificates.ts'
import type { ControllerOptions } from '#pkg/component/controller/context.ts'
import { cplbTable, renderCplbRedirect } from '#pkg/component/controller/cplb-redirect.ts'
import { virtualAddresses } from '#pkg/component/controller/virtual-addresses.ts'
import { modes } from '#pkg/constant/files.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { reflect } from '#pkg/kubernetes/reflector.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { LoadBalancer } from '#pkg/nllb/load-balancer.ts'
import type { BackendAddress } from '#pkg/nllb/open-socket.ts'
import { ReadinessProbe, type ProbeCredentials } from '#pkg/nllb/readiness-probe.ts'
import type { RunOnce } from '#pkg/supervisor/run-once.ts'

/** An EndpointSlice (discovery.k8s.io/v1), as far as it is looked at. */
export interface EndpointSlice extends KubeObject {
  readonly endpoints?: readonly {
    readonly addresses: readonly string[]
    readonly conditions?: { readonly ready?: boolean }
  }[]
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[]
}

/** A rule set is replaced in milliseconds. */
const NFT_TIMEOUT_MS = 10_000

/**
 * Behind the virtual addresses: connections to them go to the API server of any controller that is ready, also when that of
 * this host is not. A rule leads them from the API server's port to the balancer's.
 */
export class ControlPlaneBalancer implements Component {
  readonly name = 'control-plane-balancer'
  readonly after = ['kube-apiserver']
  readonly #options: Pick<ControllerOptions, 'spec' | 'vars'>
  readonly #client: ClientSource
  readonly #pki: PkiSource
  readonly #runOnce: RunOnce
  readonly #background = new Background()
  #balancer: LoadBalancer | undefined

  constructor(
    options: Pick<ControllerOptions, 'spec' | 'vars'>,
    deps: { readonly client: ClientSource; readonly pki: PkiSource; readonly runOnce: RunOnce },
  ) {
    this.#options = options
    this.#client = deps.client
    this.#pki = deps.pki
    this.#runOnce = deps.runOnce
  }

  async start({ log, signal }: StartContext): Promise<void> {
    const { api, network } = this.#options.spec
    const own = { host: api.address, port: api.port }
    const addresses = virtualAddresses(this.#options.spec)
    const balancer = new LoadBalancer(
      {
        listenHost: addresses.some((address) => isIPv6(address)) ? '::' : '0.0.0.0',
        listenPort: network.controlPlaneLoadBalancing.keepalived?.userSpaceProxyBindPort ?? 0,
        backends: [own],
      },
      {
        log,
        probe: (address, { onLost }) =>
          new ReadinessProbe({ address, credentials: () => Promise.resolve(this.#credentials()), onLost }),
      },
    )
    this.#balancer = balancer
    await balancer.start()
    const client = await this.#client.get()
    this.#background.begin(async (stop) => {
      await reflect<EndpointSlice>(client, inNamespace(resources.endpointSlices, 'default'), {
        labelSelector: 'kubernetes.io/service-name=kubernetes',
        signal: stop,
        log,
        onState: (slices) => balancer.setBackends(apiServers([...slices.values()], own)),
      })
    })
    const redirect = { virtualAddresses: addresses, apiPort: api.port, proxyPort: balancer.port }
    const file = join(this.#options.vars.runDir, 'cplb.nft')
    await writeFileAtomic(file, renderCplbRedirect(redirect), { mode: modes.certificate })
    await this.#nft(['--file', file], signal)
  }

  ready(): Promise<void> {
    return this.#balancer === undefined ? Promise.reject(new Error('not started')) : Promise.resolve()
  }

  async stop(): Promise<void> {
    if (this.#balancer === undefined) return
    const { signal } = new AbortController()
    // The API server of this host is behind the address again, for whoever still comes.
    await this.#nft(['delete', 'table', ...cplbTable.split(' ')], signal).catch(() => undefined)
    await this.#background.stop()
    await this.#balancer.stop()
    this.#balancer = undefined
  }

  /** The administrator's, as for the readiness of this host's own API server. */
  #credentials(): ProbeCredentials | undefined {
    const { authorities, leaves } = this.#pki.material()
    return leaves.admin && { caPem: authorities.ca.certPem, ...leaves.admin }
  }

  async #nft(args: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#runOnce({ path: 'nft', args, timeoutMs: NFT_TIMEOUT_MS }, { signal })
  }
}

/** The API servers that the Service kubernetes has behind it; the own one while it has none. Pure. */
export function apiServers(slices: readonly EndpointSlice[], own: BackendAddress): readonly BackendAddress[] {
  const found = slices.flatMap(({ endpoints = [], ports = [] }) =>
    endpoints
      .filter(({ conditions }) => conditions?.ready !== false)
      .flatMap(({ addresses }) => addresses.map((host) => ({ host, port: ports[0]?.port ?? own.port }))),
  )
  return found.length === 0 ? [own] : found
}
