import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { failureOf, isLeaseValid } from '#konnectivity/server/kubernetes.ts'
import type { ServerLease, ServerLeaseStore } from '#konnectivity/server/kubernetes.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'

/** Plain data of the controller; the times are upstream's unless given. */
export interface LeaseControllerOptions {
  readonly serverId: string
  readonly durationSeconds?: number
  readonly renewEveryMs?: number
  readonly collectEveryMs?: number
}

/** Collaborators of the controller. */
export interface LeaseControllerDeps {
  readonly leases: ServerLeaseStore
  readonly metrics: ServerMetrics
  readonly log: Logger
}

const DEFAULTS = { durationSeconds: 30, renewEveryMs: 15_000, collectEveryMs: 15_000 }
/** A renewal that failed is tried again well within the lease's life. */
const RETRY = { initialMs: 200, maxMs: 3_000 }
const CALL_TIMEOUT_MS = 5_000
/** What a call that is under way gets when the controller stops: a renewal cut off may have been made all the same. */
const STOP_GRACE_MS = 1_000

/** Keeps this server's Lease alive, by which agents count servers, and collects those of servers that are gone. */
export class LeaseController {
  readonly #options: Required<LeaseControllerOptions>
  readonly #deps: LeaseControllerDeps
  readonly #stopping = new AbortController()
  /** Ends calls under way, a little later than the pauses between them. */
  readonly #cutting = new AbortController()
  #loops: readonly Promise<void>[] = []
  #version: string | undefined

  constructor(options: LeaseControllerOptions, deps: LeaseControllerDeps) {
    this.#options = { ...DEFAULTS, ...options }
    this.#deps = deps
  }

  /** Begins, in the background. */
  start(): void {
    const { renewEveryMs, collectEveryMs } = this.#options
    this.#loops = [
      this.#every(renewEveryMs, 'cannot renew the lease of this server', (signal) => this.#renew(signal)),
      this.#every(collectEveryMs, 'cannot collect leases', (signal) => this.#collect(signal)),
    ]
  }

  /** Stops, and deletes the lease unless a successor of the same name has renewed it. Idempotent. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    const reason = new Error('the tunnel server stops')
    this.#stopping.abort(reason)
    const cut = setTimeout(() => this.#cutting.abort(reason), STOP_GRACE_MS)
    await Promise.all(this.#loops)
    clearTimeout(cut)
    const resourceVersion = this.#version
    if (resourceVersion === undefined) return
    const remove = (signal: AbortSignal) => this.#deps.leases.remove({ name: this.#name, resourceVersion }, { signal })
    await withDeadline(undefined, CALL_TIMEOUT_MS, remove).catch((err: unknown) => {
      this.#deps.log.debug('the lease of this server stays', { name: this.#name, err })
    })
  }

  get #name(): string {
    return `konnectivity-proxy-server-${this.#options.serverId}`
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { serverId: holder, durationSeconds } = this.#options
    this.#version = await this.#deps.leases.renew({ name: this.#name, holder, durationSeconds }, { signal })
  }

  async #collect(signal: AbortSignal): Promise<void> {
    const { metrics, leases } = this.#deps
    const list = (): Promise<readonly ServerLease[]> => leases.list({ signal })
    for (const lease of await observed(list, metrics.leaseLists, metrics.leaseListLatency)) {
      if (isLeaseValid(lease)) continue
      // Its version is a precondition: one that was renewed meanwhile stays.
      const remove = (): Promise<void> => leases.remove(lease, { signal })
      try {
        await observed(remove, metrics.leaseDeletes, metrics.leaseDeleteLatency)
        metrics.culledLeases.add()
        this.#deps.log.info('collected the lease of a server that is gone', { lease: lease.name })
      } catch (error) {
        if (![404, 409].includes(failureOf(error).status)) throw error
      }
    }
  }

  async #every(ms: number, what: string, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#stopping
    const stopped = (): boolean => signal.aborted
    for (let failures = 0; !stopped();) {
      try {
        await withDeadline(this.#cutting.signal, CALL_TIMEOUT_MS, task)
        failures = 0
      } catch (err) {
        if (stopped()) return
        if (failures === 0) this.#deps.log.warn(what, { err })
        failures += 1
      }
      const pauseMs = failures === 0 ? ms : Math.min(ms, backoffMs(failures - 1, RETRY))
      await sleep(pauseMs, { signal }).catch(() => undefined)
    }
  }
}

async function observed<T>(
  call: () => Promise<T>,
  calls: ServerMetrics['leaseLists'],
  latency: ServerMetrics['leaseListLatency'],
): Promise<T> {
  const startedAt = performance.now()
  const observe = (status: number, reason: string): void => {
    calls.add({ http_status_code: String(status), reason })
    latency.observe((performance.now() - startedAt) / 1000, { http_status_code: String(status) })
  }
  try {
    const result = await call()
    observe(200, '')
    return result
  } catch (error) {
    const { status, reason } = failureOf(error)
    observe(status, reason)
    throw error
  }
}
