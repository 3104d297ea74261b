import { errnoCode, errorMessage, K0sError } from '#pkg/errors/error.ts'
import { KubeClient, type KubeClientOptions } from '#pkg/kubernetes/client.ts'
import { isTransient, KubeApiError } from '#pkg/kubernetes/errors.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { requestCertificate } from '#pkg/component/worker/csr.ts'
import { JoinError } from '#pkg/component/worker/errors.ts'
import type { CertificateRequest, NodeCredentials } from '#pkg/component/worker/node-credentials.ts'
import { readPemPair } from '#pkg/component/worker/pem-file.ts'

/** How a joining node reaches and convinces the API servers. */
export interface ApiCredentialsOptions {
  readonly caPem: string
  /** `host:port` each; asked anew at every attempt because controllers come and go. */
  readonly servers: () => readonly string[]
  /** Bootstrap token `id.secret`; absent on a node that has joined. */
  readonly token?: string | undefined
  /** Certificate and key of the kubelet, from when it has them. */
  readonly nodePemFile: string
  /** Those of the worker process itself. */
  readonly workerPemFile: string
}

/** Whom a call is made as; `worker` is the worker process, or who may act for it before it has a certificate. */
export type ApiIdentity = 'token' | 'node' | 'worker'

/**
 * A token made a moment ago, or the permissions of a controller that is starting, may take this long to be seen by an API server.
 */
const REFUSAL_GRACE_MS = 10_000
const RETRY_MS = 200
/** How often a wait is logged. */
const COMPLAIN_EVERY_MS = 5_000

/** Certificates by signing requests: the node's own with the join token, all others with the node's identity. */
export class ApiCredentials implements NodeCredentials {
  readonly caPem: string
  readonly #options: ApiCredentialsOptions
  readonly #log: Logger

  constructor(options: ApiCredentialsOptions, deps: { readonly log: Logger }) {
    this.caPem = options.caPem
    this.#options = options
    this.#log = deps.log
  }

  async certify(request: CertificateRequest, { signal }: { readonly signal: AbortSignal }): Promise<string> {
    const signerName =
      request.identity === 'node'
        ? ('kubernetes.io/kube-apiserver-client-kubelet' as const)
        : ('kubernetes.io/kube-apiserver-client' as const)
    let complainedAt = -Infinity
    const onWaiting = (reason: string): void => {
      if (performance.now() - complainedAt < COMPLAIN_EVERY_MS) return
      complainedAt = performance.now()
      this.#log.warn('waiting for a certificate', { certificate: request.commonName, reason })
    }
    return await this.call(
      async (client) => await requestCertificate(client, request, { signerName, signal, onWaiting }),
      { as: request.identity === 'node' ? 'token' : 'node', signal },
    )
  }

  /**
   * Calls the API directly, not through the node-local load balancer, which is configured from what is read here. Tries the
   * servers in turn until one answers or `signal` aborts.
   *
   * @throws JoinError when a server answers and refuses
   */
  async call<T>(
    fn: (client: KubeClient) => Promise<T>,
    { as, signal }: { readonly as: ApiIdentity; readonly signal: AbortSignal },
  ): Promise<T> {
    const startedAt = performance.now()
    let complainedAt = startedAt
    for (let attempt = 0; ; attempt += 1) {
      const servers = this.#options.servers()
      const server = servers[attempt % Math.max(servers.length, 1)] ?? ''
      const client = new KubeClient({ server: `https://${server}`, caPem: this.caPem, ...(await this.#identity(as)) })
      try {
        return await fn(client)
      } catch (err) {
        signal.throwIfAborted()
        const elapsedMs = performance.now() - startedAt
        if (!this.#worthRetrying(err, elapsedMs)) throw refusal(err, server, as)
        if (performance.now() - complainedAt > COMPLAIN_EVERY_MS) {
          complainedAt = performance.now()
          this.#log.warn('waiting for an API server', {
            server,
            err: errorMessage(err),
            durationMs: Math.round(elapsedMs),
          })
        }
      } finally {
        client.close()
      }
      await sleep(RETRY_MS, { signal })
    }
  }

  async #identity(as: ApiIdentity): Promise<Partial<KubeClientOptions>> {
    const { token, nodePemFile, workerPemFile } = this.#options
    const files = { token: [], node: [nodePemFile], worker: [workerPemFile] }[as]
    for (const file of files) {
      const pair = await readPemPair(file)
      if (pair !== undefined) return { certPem: pair.certPem, keyPem: pair.keyPem }
    }
    if (as !== 'node' && token !== undefined) return { token }
    throw new JoinError(
      'this node has neither a certificate nor a join token; create a token with "k0s token create" on a controller',
    )
  }

  #worthRetrying(err: unknown, elapsedMs: number): boolean {
    if (isTransient(err)) return !isWrongCa(err)
    const refused = err instanceof KubeApiError && (err.status === 401 || err.status === 403 || err.status === 404)
    return refused && elapsedMs < REFUSAL_GRACE_MS
  }
}

/** A certificate error does not go away by itself: another CA made the server's certificate than the token's. */
function isWrongCa(err: unknown): boolean {
  for (let cause = err; cause instanceof Error; cause = cause.cause) {
    // OpenSSL's verification results as Node.js names them, for example DEPTH_ZERO_SELF_SIGNED_CERT.
    if (/CERT|SIGNATURE|ALTNAME/.test(errnoCode(cause) ?? '') && !(cause instanceof K0sError)) return true
  }
  return false
}

function refusal(err: unknown, server: string, as: ApiIdentity): unknown {
  if (isWrongCa(err)) {
    return new JoinError(
      `the API server at ${server} is not of the cluster that the join token was made for (${errorMessage(err)}); create a token on a controller of this cluster`,
      { cause: err },
    )
  }
  if (!(err instanceof KubeApiError)) return err
  if (err.status === 401 && as !== 'node') {
    return new JoinError(
      `the API server at ${server} refuses the join token: it has expired, was invalidated or belongs to another cluster; create a new one with "k0s token create --role worker" on a controller`,
      { cause: err },
    )
  }
  return new JoinError(`the API server at ${server} refuses this node: ${err.message}`, { cause: err })
}
