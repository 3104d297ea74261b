import type { Component, StartContext } from '#pkg/component/component.ts'
import { nodeBoundaryObjects } from '#pkg/component/cluster/node-boundary.ts'
import { rbacObjects, type RbacOptions } from '#pkg/component/cluster/rbac-objects.ts'
import { applyUntilDone } from '#pkg/kubernetes/apply.ts'
import { ResourceMapper } from '#pkg/kubernetes/discovery.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'

/** Applies the rights of workers, their bounds, and those of kube-apiserver on kubelets, at every start. */
export class SystemRbac implements Component {
  readonly name = 'system-rbac'
  readonly after = ['kube-apiserver']
  readonly #options: RbacOptions
  readonly #client: ClientSource

  constructor(options: RbacOptions, deps: { readonly client: ClientSource }) {
    this.#options = options
    this.#client = deps.client
  }

  async start({ signal, log }: StartContext): Promise<void> {
    const client = await this.#client.get()
    const objects = [...rbacObjects(this.#options), ...nodeBoundaryObjects()]
    await applyUntilDone(objects, { client, mapper: new ResourceMapper(client) }, { signal, log })
  }

  /** Nothing runs after the start. */
  ready(): Promise<void> {
    return Promise.resolve()
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }
}
