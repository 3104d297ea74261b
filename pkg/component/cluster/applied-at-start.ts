import type { Component } from '#pkg/component/component.ts'
import { applyUntilDone } from '#pkg/kubernetes/apply.ts'
import { ResourceMapper } from '#pkg/kubernetes/discovery.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** A component that applies objects at every start, without a stack: nobody is to change or remove them by a file. */
export function appliedAtStart(
  name: string,
  objects: () => readonly KubeObject[],
  deps: { readonly client: ClientSource },
): Component {
  return {
    name,
    after: ['kube-apiserver'],
    start: async ({ signal, log }) => {
      const client = await deps.client.get()
      await applyUntilDone(objects(), { client, mapper: new ResourceMapper(client) }, { signal, log })
    },
    // Nothing runs after the start.
    ready: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  }
}
