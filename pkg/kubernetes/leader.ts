import { errorMessage } from '#pkg/errors/error.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { withGrace } from '#pkg/lifecycle/grace.ts'
import type { Logger } from '#pkg/log/logger.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { isAlreadyExists, isConflict } from '#pkg/kubernetes/errors.ts'
import type { Lease } from '#pkg/kubernetes/lease.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import { kubeMicroTime } from '#pkg/kubernetes/time.ts'
import type { ResourceRef } from '#pkg/kubernetes/types.ts'

/** Which lease, who asks, and how patient. The defaults are client-go's recommended ones. */
export interface LeaderElectionOptions {
  readonly namespace: string
  readonly name: string
  /** Unique among the candidates and stable over restarts: the same identity takes its own lease back at once. */
  readonly identity: string
  /** A lease not renewed for this long may be taken. Default 15 000. */
  readonly leaseDurationMs?: number | undefined
  /** A leader that could not renew for this long stops leading. Default 10 000. */
  readonly renewDeadlineMs?: number | undefined
  /** Pause between tries. Default 2 000. */
  readonly retryPeriodMs?: number | undefined
}

/** What a call that is under way gets when the campaign ends: a write that is cut off may have been made all the same. */
const STOP_GRACE_MS = 1_000
const RELEASE_MS = 2_000

/**
 * Leader election over a coordination.k8s.io Lease.
 *
 * INVARIANTS: `lead` runs at most once at a time, and its signal aborts no later than `renewDeadlineMs` after the last
 * renewal was asked for, before any other candidate may take the lease (`leaseDurationMs`). Another's expiry is judged by
 * when *we* last saw the lease change, never by comparing clocks. A lease that may be ours is given back at the end.
 */
export class LeaderElection {
  readonly #client: KubeClient
  readonly #log: Logger
  readonly #options: Required<{ [K in keyof LeaderElectionOptions]: NonNullable<LeaderElectionOptions[K]> }>
  readonly #ref: ResourceRef
  #observed: { readonly version: string | undefined; readonly atMs: number } | undefined

  constructor(options: LeaderElectionOptions, deps: { readonly client: KubeClient; readonly log: Logger }) {
    const {
      namespace,
      name,
      identity,
      leaseDurationMs = 15_000,
      renewDeadlineMs = 10_000,
      retryPeriodMs = 2_000,
    } = options
    this.#options = { namespace, name, identity, leaseDurationMs, renewDeadlineMs, retryPeriodMs }
    this.#client = deps.client
    this.#log = deps.log.child({ lease: name })
    this.#ref = inNamespace(resources.leases, namespace)
  }

  /**
   * Campaigns until `signal` aborts; while leading, `lead` runs with a signal that ends when the lease is lost. A `lead`
   * that returns early gives the lease back and the campaign goes on. The lease is released on the way out.
   */
  async run(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const stopped = (): boolean => signal.aborted
    const { retryPeriodMs, renewDeadlineMs } = this.#options
    for (let failures = 0; !stopped();) {
      const askedAtMs = performance.now()
      const attempt = await this.#tryAcquire(signal, renewDeadlineMs)
      if (attempt !== 'held' && stopped()) await this.#release()
      else if (attempt === 'acquired') await this.#leadWhileRenewed(signal, { askedAtMs, lead })
      failures = attempt === 'failed' ? failures + 1 : 0
      // A lease that another holds is asked for in peace; an API server that is just starting, more often.
      const pauseMs = failures === 0 ? retryPeriodMs : backoffMs(failures - 1, { initialMs: 100, maxMs: retryPeriodMs })
      await sleep(pauseMs, { signal }).catch(() => undefined)
    }
  }

  async #leadWhileRenewed(
    signal: AbortSignal,
    { askedAtMs, lead }: { readonly askedAtMs: number; readonly lead: (signal: AbortSignal) => Promise<void> },
  ): Promise<void> {
    const leading = new AbortController()
    const onStop = (): void => leading.abort(signal.reason)
    signal.addEventListener('abort', onStop, { once: true })
    if (signal.aborted) onStop()
    this.#log.debug('leading')
    const renewing = this.#renew(leading, askedAtMs)
    try {
      await lead(leading.signal)
    } catch (err) {
      if (!leading.signal.aborted) this.#log.error('leader task failed', { err })
    } finally {
      signal.removeEventListener('abort', onStop)
      leading.abort(new Error('leader task ended'))
      await renewing
      await this.#release()
    }
  }

  /** Renews until `leading` aborts; aborts it when the deadline passes without a renewal or the lease went to another. */
  async #renew(leading: AbortController, acquiredAtMs: number): Promise<void> {
    const { retryPeriodMs, renewDeadlineMs } = this.#options
    const { signal } = leading
    const stopped = (): boolean => signal.aborted
    for (let renewedAtMs = acquiredAtMs; !stopped();) {
      await sleep(retryPeriodMs, { signal }).catch(() => undefined)
      if (stopped()) return
      const askedAtMs = performance.now()
      const leftMs = renewDeadlineMs - (askedAtMs - renewedAtMs)
      const renewed = leftMs > 0 && (await this.#tryAcquire(signal, leftMs))
      if (stopped()) return
      const late = performance.now() - renewedAtMs >= renewDeadlineMs - retryPeriodMs
      if (renewed === 'acquired') renewedAtMs = askedAtMs
      else if (renewed === 'held' || late) {
        this.#log.warn('lease lost')
        leading.abort(new Error(`lease ${this.#options.name} could not be renewed`))
      }
    }
  }

  /** One attempt to get or renew the lease; one that failed may have been made all the same. */
  async #tryAcquire(signal: AbortSignal, timeoutMs: number): Promise<'acquired' | 'held' | 'failed'> {
    try {
      const limits = { timeoutMs, graceMs: STOP_GRACE_MS }
      return (await withGrace(signal, limits, (inner) => this.#acquire(inner))) ? 'acquired' : 'held'
    } catch (thrown) {
      const lostRace = isConflict(thrown) || isAlreadyExists(thrown)
      if (!lostRace && !signal.aborted) this.#log.debug('lease not reachable', { err: errorMessage(thrown) })
      return 'failed'
    }
  }

  async #acquire(signal: AbortSignal): Promise<boolean> {
    const { name, namespace, identity, leaseDurationMs } = this.#options
    const lease = await this.#client.find<Lease>(this.#ref, this.#options.name, { signal })
    const now = kubeMicroTime(new Date())
    const holder = lease?.spec?.holderIdentity ?? ''
    if (lease !== undefined && holder !== '' && holder !== identity && !this.#expired(lease)) return false
    const isRenewal = holder === identity
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1_000),
      acquireTime: (isRenewal ? lease?.spec?.acquireTime : undefined) ?? now,
      renewTime: now,
      leaseTransitions: (lease?.spec?.leaseTransitions ?? 0) + (isRenewal || lease === undefined ? 0 : 1),
    }
    const body: Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: lease?.metadata ?? { name, namespace },
      spec,
    }
    if (lease === undefined) await this.#client.create(this.#ref, body, { signal })
    else await this.#client.replace(this.#ref, name, body, { signal })
    return true
  }

  #expired(lease: Lease): boolean {
    const version = lease.metadata.resourceVersion
    if (this.#observed === undefined || this.#observed.version !== version) {
      this.#observed = { version, atMs: performance.now() }
      return false
    }
    const durationMs = (lease.spec?.leaseDurationSeconds ?? 0) * 1_000 || this.#options.leaseDurationMs
    return performance.now() - this.#observed.atMs > durationMs
  }

  /** Lets the next candidate in at once; best effort, the lease expires anyway. */
  async #release(): Promise<void> {
    try {
      await withDeadline(undefined, RELEASE_MS, async (signal) => {
        while (!(await this.#tryRelease(signal))) signal.throwIfAborted()
      })
    } catch (thrown) {
      this.#log.debug('lease not released', { err: errorMessage(thrown) })
    }
  }

  /** False when something came between, as a renewal that was cut off: the lease may be ours still. */
  async #tryRelease(signal: AbortSignal): Promise<boolean> {
    const { name, identity } = this.#options
    const lease = await this.#client.find<Lease>(this.#ref, name, { signal })
    if (lease?.spec?.holderIdentity !== identity) return true
    const free = { ...lease, spec: { ...lease.spec, holderIdentity: '' } }
    try {
      await this.#client.replace(this.#ref, name, free, { signal })
      return true
    } catch (thrown) {
      if (isConflict(thrown)) return false
      throw thrown
    }
  }
}
