import { DirectoryWatcher } from '#pkg/applier/directory-watcher.ts'
import { StackReader, type Stack } from '#pkg/applier/stack-reader.ts'
import { StackReconciler, type Leftover } from '#pkg/applier/stack-reconciler.ts'
import type { Component, StartContext } from '#pkg/component/component.ts'
import { modes } from '#pkg/constant/files.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { ResourceMapper } from '#pkg/kubernetes/discovery.ts'
import { LeaderElection, type LeaderElectionOptions } from '#pkg/kubernetes/leader.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Options of the component. */
export interface ApplierManagerOptions {
  /** `<data-dir>/manifests`; made if it is missing. */
  readonly manifestsDir: string
  /** Name of this controller's node: identity in the leader election and owner of what it applies. */
  readonly nodeName: string
  /** First look at everything in the cluster, after the leader's start; default 20 000 ms, when start-up is over. */
  readonly firstSweepMs?: number | undefined
  /** Further looks. Default 600 000 ms. */
  readonly sweepEveryMs?: number | undefined
  readonly lease?: Pick<LeaderElectionOptions, 'leaseDurationMs' | 'renewDeadlineMs' | 'retryPeriodMs'> | undefined
}

/** The directory is read again after this, in case its watch missed something. */
const RESCAN_MS = 60_000
/** A change is acted on once nothing changes for this long: files are not read while they are being copied. */
const QUIET_MS = 100

/** Survives a restart of the API server; that another controller takes over a minute after a crash is soon enough. */
const PATIENT_LEASE = { leaseDurationMs: 60_000, renewDeadlineMs: 45_000, retryPeriodMs: 5_000 } as const

/** Applies the stacks of the manifests directory and prunes what is removed from them; one controller does at a time. */
export class ApplierManager implements Component {
  readonly name = 'applier-manager'
  readonly after = ['kube-apiserver']
  readonly #options: ApplierManagerOptions
  readonly #client: ClientSource
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined

  constructor(options: ApplierManagerOptions, deps: { readonly client: ClientSource }) {
    this.#options = options
    this.#client = deps.client
  }

  async start({ log }: StartContext): Promise<void> {
    const { manifestsDir, nodeName, lease } = this.#options
    await ensureDir(manifestsDir, { mode: modes.dataDir })
    const client = await this.#client.get()
    const election = new LeaderElection(
      { namespace: 'kube-system', name: 'k0s-applier-manager', identity: nodeName, ...PATIENT_LEASE, ...lease },
      { client, log },
    )
    const deps = { client, mapper: new ResourceMapper(client), log }
    this.#running = election.run(this.#stopping.signal, async (signal) => {
      const reconciler = new StackReconciler({ owner: nodeName }, deps)
      await new Applying(this.#options, { reconciler, log }).run(signal)
    })
  }

  /** A manifest that cannot be applied is the user's: it does not hold up the controller. */
  ready(): Promise<void> {
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'))
    await this.#running
  }
}

/** The work of the leader, for as long as it leads. */
class Applying {
  readonly #options: ApplierManagerOptions
  readonly #reconciler: StackReconciler
  readonly #reader: StackReader
  readonly #log: Logger
  #isPrimed = false
  #unreadable = ''

  constructor(options: ApplierManagerOptions, deps: { readonly reconciler: StackReconciler; readonly log: Logger }) {
    this.#options = options
    this.#reconciler = deps.reconciler
    this.#reader = new StackReader({ manifestsDir: options.manifestsDir })
    this.#log = deps.log
  }

  async run(signal: AbortSignal): Promise<void> {
    const { manifestsDir, firstSweepMs = 20_000, sweepEveryMs = 600_000 } = this.#options
    const watcher = new DirectoryWatcher(manifestsDir)
    const stopped = (): boolean => signal.aborted
    let sweepAtMs = performance.now() + firstSweepMs
    try {
      for (let attempt = 0; !stopped();) {
        const seen = watcher.changes
        const isSweep = performance.now() >= sweepAtMs
        const leftover = await this.#round(watcher, isSweep, signal)
        if (isSweep) sweepAtMs = performance.now() + sweepEveryMs
        attempt = leftover === 'nothing' ? 0 : attempt + 1
        const waitMs = Math.min(pauseMs(leftover, attempt), Math.max(0, sweepAtMs - performance.now()))
        await watcher.changed(seen, waitMs, signal)
        if (watcher.changes !== seen) await watcher.settled(QUIET_MS, signal)
      }
    } finally {
      watcher.close()
    }
  }

  async #round(watcher: DirectoryWatcher, isSweep: boolean, signal: AbortSignal): Promise<Leftover> {
    const stacks = await this.#read(watcher)
    if (stacks === undefined) return 'refused'
    try {
      if (!this.#isPrimed) await this.#reconciler.prime(stacks, signal)
      this.#isPrimed = true
      if (isSweep) await this.#reconciler.sweep(stacks, signal)
      return await this.#reconciler.reconcile(stacks, signal)
    } catch (thrown) {
      if (!signal.aborted) this.#log.debug('stacks not reconciled', { err: errorMessage(thrown) })
      return 'soon'
    }
  }

  /** Undefined when the directory cannot be read: nothing is applied, and above all nothing is pruned. */
  async #read(watcher: DirectoryWatcher): Promise<ReadonlyMap<string, Stack> | undefined> {
    try {
      await watcher.refresh()
      const stacks = await this.#reader.read()
      this.#unreadable = ''
      return stacks
    } catch (thrown) {
      const reason = errorMessage(thrown)
      if (reason !== this.#unreadable) this.#log.error('manifests directory cannot be read', { reason })
      this.#unreadable = reason
      return undefined
    }
  }
}

/** Soon: a kind or namespace is about to be there. Refused: somebody has to correct something first. */
function pauseMs(leftover: Leftover, attempt: number): number {
  if (leftover === 'nothing') return RESCAN_MS
  return leftover === 'soon'
    ? backoffMs(attempt - 1, { initialMs: 100, maxMs: 5_000, factor: 1.5 })
    : backoffMs(attempt - 1, { initialMs: 5_000, maxMs: 60_000 })
}
