import { canonicalIp } from '#pkg/certificate/alt-names.ts'
import { parseCsr } from '#pkg/certificate/csr.ts'
import type { Component, StartContext } from '#pkg/component/component.ts'
import { Background } from '#pkg/component/cluster/background.ts'
import {
  decideCsr,
  decideFirst,
  decideServing,
  signers,
  type CsrVerdict,
  type NodeAddress,
  type NodeCondition,
  type ReservedNames,
  type SigningRequest,
} from '#pkg/component/cluster/csr-policy.ts'
import { csrWaitingAnnotation } from '#pkg/constant/identity.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { isConflict, isNotFound } from '#pkg/kubernetes/errors.ts'
import { reflect } from '#pkg/kubernetes/reflector.ts'
import { resources } from '#pkg/kubernetes/resources.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** certificates.k8s.io/v1 CertificateSigningRequest, as far as it matters here. */
interface CertificateSigningRequest extends KubeObject {
  readonly spec: {
    readonly signerName: string
    readonly username?: string
    readonly groups?: readonly string[]
    readonly usages?: readonly string[]
    /** Base64 of a PEM block. */
    readonly request: string
  }
  readonly status?: { readonly conditions?: readonly { readonly type: string }[]; readonly certificate?: string }
}
interface Node extends KubeObject {
  readonly status?: { readonly addresses?: readonly NodeAddress[]; readonly conditions?: readonly NodeCondition[] }
}

/**
 * Approves the certificate requests of workers, by watch: the kubelet's client and serving certificates and those of the
 * worker's other parts. What it does not vouch for it leaves alone and logs once. Several controllers may run it at
 * once: the first approval wins, the others see it.
 */
export class CsrApprover implements Component {
  readonly name = 'csr-approver'
  readonly after = ['controllers']
  readonly #reserved: () => readonly ReservedNames[]
  readonly #client: ClientSource
  readonly #background = new Background()
  #hasListed = false

  constructor(options: { readonly reserved: () => readonly ReservedNames[] }, deps: { readonly client: ClientSource }) {
    this.#reserved = options.reserved
    this.#client = deps.client
  }

  async start({ log }: StartContext): Promise<void> {
    const client = await this.#client.get()
    this.#hasListed = false
    this.#background.begin(async (signal) => {
      const desk = new Desk(this.#reserved, { client, log, signal })
      await reflect<CertificateSigningRequest>(client, resources.certificateSigningRequests, {
        signal,
        log,
        onChange: ({ type, object }) => (type === 'deleted' ? desk.forget(object) : desk.take(object)),
        onState: () => void (this.#hasListed = true),
      })
      await desk.closed()
    })
  }

  ready(): Promise<void> {
    return this.#hasListed ? Promise.resolve() : Promise.reject(new Error('certificate requests not listed yet'))
  }

  async stop(): Promise<void> {
    await this.#background.stop()
  }
}

/** Works on requests, each on its own, so that one that waits for its node holds up no other. */
class Desk {
  readonly #reserved: () => readonly ReservedNames[]
  readonly #client: KubeClient
  readonly #log: Logger
  readonly #signal: AbortSignal
  /** Requests in work or settled, by UID. */
  readonly #taken = new Set<string>()
  readonly #work = new Set<Promise<void>>()

  constructor(
    reserved: () => readonly ReservedNames[],
    deps: { readonly client: KubeClient; readonly log: Logger; readonly signal: AbortSignal },
  ) {
    this.#reserved = reserved
    this.#client = deps.client
    this.#log = deps.log
    this.#signal = deps.signal
  }

  take(csr: CertificateSigningRequest): void {
    const { uid = '' } = csr.metadata
    if (isSettled(csr) || this.#taken.has(uid)) return
    if (!Object.values<string>(signers).includes(csr.spec.signerName)) return
    this.#taken.add(uid)
    const work = this.#settle(csr).catch((err: unknown) => {
      if (!this.#signal.aborted) this.#log.warn('certificate request not settled', { csr: csr.metadata.name, err })
    })
    this.#work.add(work)
    void work.finally(() => this.#work.delete(work))
  }

  forget({ metadata: { uid = '' } }: CertificateSigningRequest): void {
    this.#taken.delete(uid)
  }

  async closed(): Promise<void> {
    await Promise.all(this.#work)
  }

  /**
   * Until it is approved, left alone or gone. Tried again is one whose node has not reported its addresses yet, or whose name a node
   * that is alive has.
   */
  async #settle(csr: CertificateSigningRequest): Promise<void> {
    const fields = { csr: csr.metadata.name, requester: csr.spec.username, signer: csr.spec.signerName }
    const request = readRequest(csr)
    if ('problem' in request) {
      this.#log.info('certificate request left alone', { ...fields, reason: request.problem })
      return
    }
    const isKnown = (): boolean => this.#taken.has(csr.metadata.uid ?? '')
    let told: string | undefined
    for (let attempt = 0; !this.#signal.aborted && isKnown(); attempt += 1) {
      const decision = await this.#decide(request)
      if (decision.action === 'wait' && decision.reason !== told) {
        told = decision.reason
        this.#log.warn('certificate request has to wait', { ...fields, reason: told })
        await this.#tell(csr, told)
      }
      if (decision.action === 'approve' && (await this.#approve(csr, decision.message))) {
        this.#log.info('certificate request approved', { ...fields, reason: decision.message })
        return
      }
      const isFinal = request.signerName !== signers.kubeletServing
      if (decision.action === 'leave' && (isFinal || attempt === LOUD_ATTEMPT)) {
        this.#log.info('certificate request left alone', { ...fields, reason: decision.reason })
        if (isFinal) return
      }
      const maxMs = decision.action === 'wait' ? 3_000 : 30_000
      await sleep(backoffMs(attempt, { initialMs: 50, maxMs }), { signal: this.#signal })
    }
  }

  async #decide(request: SigningRequest): Promise<CsrVerdict> {
    const decision = decideCsr(request)
    if (decision.action !== 'check-node' && decision.action !== 'check-name') return decision
    const { action, nodeName } = decision
    try {
      const node = await this.#client.find<Node>(resources.nodes, nodeName, { signal: this.#signal })
      if (action === 'check-name') return decideFirst(nodeName, node?.status?.conditions)
      if (node === undefined) return { action: 'leave', reason: `there is no node ${nodeName} yet` }
      return decideServing(request, node.status?.addresses ?? [], { canonicalIp, reserved: this.#reserved() })
    } catch (thrown) {
      const reason = `node ${nodeName} cannot be read: ${errorMessage(thrown)}`
      return action === 'check-name' ? { action: 'wait', reason } : { action: 'leave', reason }
    }
  }

  /** Where the one who asks reads it. A condition would keep an undecided request from being cleaned away. */
  async #tell({ metadata: { name } }: CertificateSigningRequest, reason: string): Promise<void> {
    const patch = { metadata: { annotations: { [csrWaitingAnnotation]: reason } } }
    await this.#client
      .patch(resources.certificateSigningRequests, name, patch, { type: 'merge', signal: this.#signal })
      .catch((err: unknown) => this.#log.debug('reason not written', { csr: name, err: errorMessage(err) }))
  }

  /** False when the API server did not take it: to be tried again. */
  async #approve(csr: CertificateSigningRequest, message: string): Promise<boolean> {
    const ref = resources.certificateSigningRequests
    const { name } = csr.metadata
    const condition = { type: 'Approved', status: 'True', reason: 'AutoApproved', message: `k0s: ${message}` }
    try {
      const body = { ...csr, status: { ...csr.status, conditions: [condition] } }
      await this.#client.replace(ref, name, body, { subresource: 'approval', signal: this.#signal })
      return true
    } catch (thrown) {
      if (isNotFound(thrown)) return true // withdrawn
      this.#log.debug('approval not taken', { csr: name, err: errorMessage(thrown) })
      if (!isConflict(thrown)) return false
      const now = await this.#client.get<CertificateSigningRequest>(ref, name, { signal: this.#signal })
      return isSettled(now) || this.#approve(now, message)
    }
  }
}

/** A serving request that is still not approvable at this attempt (some 6 s after it came) is worth a line. */
const LOUD_ATTEMPT = 7

function isSettled({ status }: CertificateSigningRequest): boolean {
  return (status?.certificate ?? '') !== '' || (status?.conditions ?? []).some(({ type }) => type !== 'Failed')
}

function readRequest({ spec }: CertificateSigningRequest): SigningRequest | { readonly problem: string } {
  const { signerName, username = '', groups = [], usages = [] } = spec
  try {
    const parsed = parseCsr(Buffer.from(spec.request, 'base64').toString('latin1'))
    return { ...parsed, signerName, username, groups, usages }
  } catch (thrown) {
    return { problem: errorMessage(thrown) }
  }
}
