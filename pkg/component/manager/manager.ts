import type { Component } from '#pkg/component/component.ts'
import { ComponentStopError } from '#pkg/component/manager/errors.ts'
import { dependencyOrder, describeGraph, renderGraph } from '#pkg/component/manager/graph.ts'
import { startAll, type Managed } from '#pkg/component/manager/start-all.ts'
import { StateRecord, type ComponentStatus } from '#pkg/component/manager/state.ts'
import { stopAll } from '#pkg/component/manager/stop-all.ts'
import { probeForEver, reasonOf, type ProbeResult } from '#pkg/component/prober/prober.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** What a manager manages. */
export interface ManagerOptions {
  readonly components: readonly Component[]
  /** Longest time a component may take from its start to its first ready probe, milliseconds. */
  readonly readyTimeoutMs: number
  /** Milliseconds between probes of a running component. Default 10 s. */
  readonly probeIntervalMs?: number
}

/** While a start takes long, what it waits for is logged this often, milliseconds. */
const PROGRESS_INTERVAL_MS = 10_000

/**
 * Owns the components of a node: starts them as their graph allows, keeps probing them, stops them in reverse.
 *
 * INVARIANTS: a component is started at most once between two stops; whatever was begun is stopped, also when its start
 * failed or was cut off; nothing is probed after its stop began.
 */
export class ComponentManager {
  readonly #all: readonly Managed[]
  readonly #options: ManagerOptions
  readonly #log: Logger
  #stopProbing = new AbortController()
  #probes: Promise<void>[] = []
  #start: { readonly abort: AbortController; readonly done: Promise<void> } | undefined
  #stop: Promise<void> | undefined

  /** @throws ComponentGraphError */
  constructor(options: ManagerOptions, { log }: { readonly log: Logger }) {
    this.#options = options
    this.#log = log
    this.#all = dependencyOrder(options.components).map((component) => ({ component, record: new StateRecord() }))
  }

  /**
   * Resolves when every component is ready. A failure, or the abort of `signal`, stops all that was begun.
   *
   * @throws ComponentFailedError, ComponentNotReadyError, or the reason of `signal`.
   */
  start(signal: AbortSignal): Promise<void> {
    if (this.#start) return this.#start.done
    this.#stopProbing = new AbortController()
    const abort = new AbortController()
    const onAbort = (): void => abort.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    const done = this.#startAndRollBack(abort.signal).finally(() => signal.removeEventListener('abort', onAbort))
    this.#start = { abort, done }
    return done
  }

  /**
   * Stops everything, dependants first; a start in progress is cut off. Idempotent.
   *
   * @throws ComponentStopError naming the components that did not stop; all others have.
   */
  stop(): Promise<void> {
    this.#stop ??= this.#stopEverything().finally(() => (this.#stop = undefined))
    return this.#stop
  }

  /** State, reason and history of every component, in start order. */
  status(): readonly ComponentStatus[] {
    return this.#all.map((managed) => this.#statusOf(managed))
  }

  /** The graph for `--dry-run`: a table, or JSON. */
  graph(format: 'text' | 'json' = 'text'): string {
    const entries = describeGraph(this.#all.map(({ component }) => component))
    return format === 'json' ? `${JSON.stringify(entries, undefined, 2)}\n` : renderGraph(entries)
  }

  async #startAndRollBack(signal: AbortSignal): Promise<void> {
    const startedAt = performance.now()
    for (const { record } of this.#all) record.transition('waiting')
    const progress = setInterval(() => this.#logProgress(), PROGRESS_INTERVAL_MS)
    try {
      const { readyTimeoutMs } = this.#options
      const onReady = (managed: Managed): void => this.#keepProbing(managed)
      await startAll(this.#all, { signal, log: this.#log, readyTimeoutMs, onReady })
      this.#log.info('all components ready', { durationMs: Math.round(performance.now() - startedAt) })
    } catch (err) {
      this.#log.error('start failed, stopping what was started', { err })
      await this.#stopComponents()
      this.#start = undefined
      throw err
    } finally {
      clearInterval(progress)
    }
  }

  async #stopEverything(): Promise<void> {
    const start = this.#start
    start?.abort.abort(new Error('stopped while starting'))
    await start?.done.catch(() => undefined) // whoever called start() has the reason
    const failures = await this.#stopComponents()
    this.#start = undefined
    if (failures.size > 0) throw new ComponentStopError(failures)
  }

  async #stopComponents(): Promise<ReadonlyMap<string, unknown>> {
    this.#stopProbing.abort()
    await Promise.all(this.#probes)
    this.#probes = []
    return stopAll(this.#all, { log: this.#log })
  }

  #keepProbing({ component, record }: Managed): void {
    const { probeIntervalMs: intervalMs } = this.#options
    const options = { signal: this.#stopProbing.signal, ...(intervalMs !== undefined && { intervalMs }) }
    this.#probes.push(probeForEver(component, options, (result) => this.#onProbe({ component, record }, result)))
  }

  #onProbe({ component, record }: Managed, result: ProbeResult): void {
    const reason = reasonOf(result)
    if (result.ready && record.state === 'not-ready') {
      record.transition('ready')
      this.#log.info('component ready again', { component: component.name })
    } else if (!result.ready && record.state === 'ready') {
      record.transition('not-ready', reason)
      this.#log.warn('component not ready', { component: component.name, reason })
    }
    record.probed(reason)
  }

  #statusOf({ component, record }: Managed): ComponentStatus {
    const { state, reason, since, probedAt, events } = record
    const restarts = restartsOf(component)
    const warnings = warningsOf(component)
    return {
      name: component.name,
      state,
      waitingFor: state === 'waiting' ? component.after.filter((name) => this.#stateOf(name) !== 'ready') : [],
      since,
      events,
      ...(reason !== undefined && { reason }),
      ...(probedAt !== undefined && { probedAt }),
      ...(restarts !== undefined && { restarts }),
      ...(warnings.length > 0 && { warnings }),
    }
  }

  #stateOf(name: string): string | undefined {
    return this.#all.find(({ component }) => component.name === name)?.record.state
  }

  #logProgress(): void {
    for (const { name, state, waitingFor, reason } of this.status()) {
      if (state === 'ready') continue
      const waits = waitingFor.length > 0 ? { waitingFor: waitingFor.join(',') } : {}
      this.#log.info('component still starting', { component: name, state, ...waits, reason })
    }
  }
}

/** A component that has a supervised process may offer its count of restarts as a property of that name. */
function restartsOf(component: Component): number | undefined {
  return 'restarts' in component && typeof component.restarts === 'number' ? component.restarts : undefined
}

/** A component may also offer what it warns of. */
function warningsOf(component: Component): readonly string[] {
  return 'warnings' in component && Array.isArray(component.warnings) ? (component.warnings as readonly string[]) : []
}
