import type { Component, StartContext } from '#pkg/component/component.ts'
import { Background } from '#pkg/component/cluster/background.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { isNotFound } from '#pkg/kubernetes/errors.ts'
import { resources } from '#pkg/kubernetes/resources.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** What `kubectl get nodes` prints as role; kubelets may not set it themselves (NodeRestriction). */
const roleLabel = { 'node-role.kubernetes.io/control-plane': 'true' }

const RETRY_MS = 500

/** Labels the Node of a controller that runs pods too. */
export class NodeRole implements Component {
  readonly name = 'node-role'
  readonly after = ['kube-apiserver']
  readonly #nodeName: string
  readonly #client: ClientSource
  readonly #background = new Background()

  constructor(options: { readonly nodeName: string }, deps: { readonly client: ClientSource }) {
    this.#nodeName = options.nodeName
    this.#client = deps.client
  }

  async start({ log }: StartContext): Promise<void> {
    const client = await this.#client.get()
    const patch = { metadata: { labels: roleLabel } }
    this.#background.begin(async (signal) => {
      for (;;) {
        try {
          await client.patch(resources.nodes, this.#nodeName, patch, { type: 'merge', signal })
          return
        } catch (err) {
          signal.throwIfAborted()
          // The kubelet registers the node in its own time.
          if (!isNotFound(err)) log.debug('node not labelled yet', { err: errorMessage(err) })
          await sleep(RETRY_MS, { signal })
        }
      }
    })
  }

  /** Whether the node is there is the kubelet's readiness. */
  ready(): Promise<void> {
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#background.stop()
  }
}
