import type { Component, StartContext } from '#pkg/component/component.ts'
import { generateKeyPem } from '#pkg/certificate/key.ts'
import { modes } from '#pkg/constant/files.ts'
import { workerCommonName, workerIdentities, type WorkerIdentityName } from '#pkg/constant/identity.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { renderKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { identityKubeconfig, identityPemFile } from '#pkg/component/worker/layout.ts'
import { readPemPair, renewalTime } from '#pkg/component/worker/pem-file.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** Longest delay of a Node.js timer; later renewals are looked at again after it. */
const MAX_TIMER_MS = 24 * 60 * 60_000
/** Pause after a renewal that failed: a third of the life is left to try in. */
const RETRY_MS = 5 * 60_000

/**
 * Owner of the client certificates of the worker's parts, one per identity, each in one file with its key (renewed in
 * place: client-go reads the files again by itself, whoever else wants to know is told through `onRenewed`).
 */
export class WorkerCertificates implements Component {
  readonly name = 'worker-certificates'
  readonly after: readonly string[]
  readonly #context: WorkerContext
  readonly #listeners = new Set<(identity: WorkerIdentityName) => void>()
  #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #lastFailure: string | undefined

  constructor(context: WorkerContext) {
    this.#context = context
    // Not after the API server of a controller in this process: that one's certificates are signed here.
    this.after = ['node-certificate', 'worker-config']
  }

  /** Calls `listener` after a certificate was replaced; the result ends that. */
  onRenewed(listener: (identity: WorkerIdentityName) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async start({ signal, log }: StartContext): Promise<void> {
    this.#stopping = new AbortController()
    const due = await Promise.all(identityNames.map(async (identity) => await this.#ensure(identity, signal)))
    this.#schedule(new Date(Math.min(...due.map((date) => date.getTime()))), log)
  }

  async ready(): Promise<void> {
    if (this.#lastFailure !== undefined) throw new Error(this.#lastFailure)
    await Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'))
    clearTimeout(this.#timer)
    await Promise.resolve()
  }

  /** Makes the identity's certificate and kubeconfig unless they are there; when the certificate is due for renewal. */
  async #ensure(identity: WorkerIdentityName, signal: AbortSignal): Promise<Date> {
    const { options, deps } = this.#context
    const pemFile = identityPemFile(options.vars, identity)
    let pair = await readPemPair(pemFile)
    if (pair === undefined || renewalTime(pair) <= new Date()) {
      const { group } = workerIdentities[identity]
      const commonName = workerCommonName(workerIdentities[identity], options.nodeName)
      const keyPem = generateKeyPem()
      const certPem = await deps.credentials.certify(
        { identity, commonName, organizations: [group], keyPem },
        { signal },
      )
      await writeFileAtomic(pemFile, `${certPem}${keyPem}`, { mode: modes.privateKey })
      pair = await readPemPair(pemFile)
      if (pair === undefined) throw new Error(`the certificate issued for ${commonName} does not belong to its key`)
      for (const listener of this.#listeners) listener(identity)
    }
    const kubeconfig = renderKubeconfig({
      server: this.#context.localApiServer(),
      caPem: deps.credentials.caPem,
      certFile: pemFile,
      keyFile: pemFile,
      user: workerCommonName(workerIdentities[identity], options.nodeName),
    })
    await writeFileAtomic(identityKubeconfig(options.vars, identity), kubeconfig, { mode: modes.kubeconfig })
    return renewalTime(pair)
  }

  #schedule(due: Date, log: Logger): void {
    if (this.#stopping.signal.aborted) return
    const delayMs = Math.min(Math.max(due.getTime() - Date.now(), 1_000), MAX_TIMER_MS)
    this.#timer = setTimeout(() => void this.#renew(log), delayMs)
    this.#timer.unref()
  }

  async #renew(log: Logger): Promise<void> {
    const { signal } = this.#stopping
    try {
      const due = await Promise.all(identityNames.map(async (identity) => await this.#ensure(identity, signal)))
      this.#lastFailure = undefined
      this.#schedule(new Date(Math.min(...due.map((date) => date.getTime()))), log)
    } catch (err) {
      if (signal.aborted) return
      this.#lastFailure = `a client certificate cannot be renewed: ${errorMessage(err)}`
      log.warn('client certificate not renewed', { err: errorMessage(err), retryInMs: RETRY_MS })
      this.#schedule(new Date(Date.now() + RETRY_MS), log)
    }
  }
}

const identityNames = Object.keys(workerIdentities) as WorkerIdentityName[]
