import type { Component, StartContext } from '#pkg/component/component.ts'
import { Background } from '#pkg/component/cluster/background.ts'
import { renderYaml } from '#pkg/component/cluster/objects.ts'
import type { PatchedObjects } from '#pkg/component/cluster/patch-objects.ts'
import { componentStacks, writeStack } from '#pkg/component/cluster/stack-files.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'

/** Options of an add-on. */
export interface AddonOptions {
  readonly name: 'coredns' | 'metrics-server'
  readonly manifestsDir: string
}

/** What an add-on consists of. */
export interface AddonDeps {
  readonly client: ClientSource
  /** The objects of its stack. */
  readonly objects: () => PatchedObjects | Promise<PatchedObjects>
  /** What is to be done while it runs, beside applying the stack; ends when its signal aborts. */
  readonly keep: (client: KubeClient, context: StartContext) => Promise<void>
}

/** A component that runs as pods: it writes the stack, which the applier applies, and keeps what a stack cannot say. */
export class Addon implements Component {
  readonly name: AddonOptions['name']
  readonly after = ['kube-apiserver']
  readonly #manifestsDir: string
  readonly #deps: AddonDeps
  readonly #background = new Background()

  constructor({ name, manifestsDir }: AddonOptions, deps: AddonDeps) {
    this.name = name
    this.#manifestsDir = manifestsDir
    this.#deps = deps
  }

  async start({ log }: StartContext): Promise<void> {
    const client = await this.#deps.client.get()
    // Not after the stack: a pod may wait for what is kept.
    this.#background.begin((signal) => this.#deps.keep(client, { signal, log }))
    const { objects, unmatched } = await this.#deps.objects()
    for (const path of unmatched) log.warn('patch has no effect: its target is not there', { path })
    const [file] = componentStacks[this.name].files
    await writeStack(this.#manifestsDir, this.name, { [file]: renderYaml(objects) } as Record<typeof file, string>)
  }

  /** The applier does the rest; whether pods run is not the controller's readiness. */
  ready(): Promise<void> {
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#background.stop()
  }
}
