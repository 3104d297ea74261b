import { KubeClient } from '#pkg/kubernetes/client.ts'
import { loadKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'

/** Gives out a client; what components depend on, so that tests can hand in any client. */
export interface ClientSource {
  /** @throws KubeconfigError while the kubeconfig cannot be read. */
  get(): Promise<KubeClient>
}

/** One client for all parts of a process, made from a kubeconfig file when it is first asked for. */
export class SharedClient implements ClientSource {
  readonly #kubeconfig: string
  #client: Promise<KubeClient> | undefined

  constructor(options: { readonly kubeconfig: string }) {
    this.#kubeconfig = options.kubeconfig
  }

  async get(): Promise<KubeClient> {
    this.#client ??= loadKubeconfig(this.#kubeconfig).then((options) => new KubeClient(options))
    try {
      return await this.#client
    } catch (thrown) {
      this.#client = undefined // the file may be there next time
      throw thrown
    }
  }

  /** Reads the kubeconfig again and uses its certificate for new connections, after a renewal. */
  async reload(): Promise<void> {
    if (this.#client !== undefined) (await this.#client).setCredentials(await loadKubeconfig(this.#kubeconfig))
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined)
    this.#client = undefined
    client?.close()
  }
}
