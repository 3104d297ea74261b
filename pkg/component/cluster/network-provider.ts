import type { Component } from '#pkg/component/component.ts'
import { renderNetwork, type NetworkOptions } from '#pkg/component/cluster/network-render.ts'
import { writeStack } from '#pkg/component/cluster/stack-files.ts'

/** Options of the network provider's cluster-wide objects. */
export interface NetworkProviderOptions extends NetworkOptions {
  readonly manifestsDir: string
}

/** The cluster-wide part of provider flannel: Calico's kinds, and what Felix and its CNI plugin look for. */
export class NetworkProvider implements Component {
  readonly name = 'network-provider'
  readonly after = []
  readonly #options: NetworkProviderOptions
  readonly #readManifest: (name: string) => Promise<string>

  constructor(
    options: NetworkProviderOptions,
    /** `readManifest` gives the text of a manifest that the product ships. */
    deps: { readonly readManifest: (name: string) => Promise<string> },
  ) {
    this.#options = options
    this.#readManifest = deps.readManifest
  }

  async start(): Promise<void> {
    const { manifestsDir } = this.#options
    await writeStack(manifestsDir, this.name, {
      'calico-crds.yaml': await this.#readManifest('calico-crds.yaml'),
      'flannel.yaml': renderNetwork(this.#options),
    })
  }

  /** The applier does the rest. */
  ready(): Promise<void> {
    return Promise.resolve()
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }
}
