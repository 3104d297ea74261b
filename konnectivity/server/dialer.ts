import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { DeadlineError } from '#pkg/lifecycle/deadline.ts'
import type { Backend } from '#konnectivity/server/backend.ts'
import type { BackendManager } from '#konnectivity/server/backend-manager.ts'
import { hostOf } from '#konnectivity/server/identity.ts'
import type { ServerMetrics } from '#konnectivity/server/metrics.ts'
import type { Traffic } from '#konnectivity/server/traffic.ts'

/** The end of a dial, for a frontend to report. */
export type DialOutcome =
  | {
      readonly kind: 'connected'
      readonly connection: Duplex
      readonly connectId: number | undefined
      /** Of the agent that carries it. */
      readonly traffic: Traffic
    }
  | { readonly kind: 'failed'; readonly reason: DialFailure; readonly message: string }

/** Why a dial failed. */
export type DialFailure = 'no-agent' | 'agent-gone' | 'endpoint' | 'timeout' | 'aborted'

/** Collaborators of the dialer. */
export interface TunnelDialerDeps {
  readonly manager: BackendManager
  readonly metrics: ServerMetrics
  /** Shortly after the start: a dial that finds no agent waits for one. */
  readonly agentsMayCome: () => boolean
}

const LOOK_MS = 200
/** Errors of an agent for whom there is no way to the endpoint; whether somebody listens there is for the endpoint to say. */
const NO_WAY = /i\/o timeout|connection timed out|no route to host|network is unreachable/
/** An endpoint that is nowhere costs each agent that is asked some seconds. */
const MAX_AGENTS_WITHOUT_A_WAY = 2

/** Connects frontends to endpoints through some agent; every dial ends within the timeout. */
export class TunnelDialer {
  readonly #timeoutMs: number
  readonly #manager: BackendManager
  readonly #metrics: ServerMetrics

  readonly #agentsMayCome: () => boolean
  #pending = 0

  constructor(options: { readonly timeoutMs: number }, deps: TunnelDialerDeps) {
    this.#timeoutMs = options.timeoutMs
    this.#manager = deps.manager
    this.#metrics = deps.metrics
    this.#agentsMayCome = deps.agentsMayCome
  }

  /** Dials that run. */
  get pending(): number {
    return this.#pending
  }

  /** Dials `address` (host:port). The frontend aborts `abort` when it is gone, and this does after the timeout. Never rejects. */
  async dial(address: string, abort: AbortController): Promise<DialOutcome> {
    if (abort.signal.aborted) return failed('aborted', 'the client went away')
    const startedAt = performance.now()
    const timer = setTimeout(() => abort.abort(new DeadlineError(this.#timeoutMs)), this.#timeoutMs)
    this.#pending += 1
    const outcome = await this.#tryAgents(address, abort.signal)
    this.#pending -= 1
    clearTimeout(timer)
    if (outcome.kind === 'connected') this.#metrics.dialDuration.observe((performance.now() - startedAt) / 1000)
    return outcome
  }

  /**
   * As long as nothing was sent, an agent that goes away costs a retry on another and not the request; the same for one that has no
   * way to an address that belongs to no agent: its pod network may not be up yet.
   */
  async #tryAgents(address: string, signal: AbortSignal): Promise<DialOutcome> {
    const tried = new Set<Backend>()
    let withoutWay = 0
    let refusal: DialOutcome | undefined
    for (;;) {
      const backend = this.#manager.pick(address, tried)
      if (backend === undefined) {
        if (refusal !== undefined) return refusal
        if (tried.size > 0 || !this.#agentsMayCome()) return this.#noAgent(tried.size)
        await this.#change(signal)
        if (signal.aborted) return this.#aborted(address, signal)
        continue
      }
      tried.add(backend)
      const result = await backend.dial(address, signal)
      switch (result.kind) {
        case 'connected':
          return { ...result, traffic: backend.traffic }
        case 'refused':
          this.#metrics.dialFailures.add({ reason: 'error_response' })
          refusal = failed('endpoint', result.error)
          withoutWay += 1
          if (!NO_WAY.test(result.error) || withoutWay === MAX_AGENTS_WITHOUT_A_WAY) return refusal
          if (backend.identity.hosts.includes(hostOf(address))) return refusal
          break
        case 'aborted':
          return this.#aborted(address, signal)
        case 'gone':
          this.#metrics.dialFailures.add({ reason: 'backend_close' })
      }
    }
  }

  /** Resolves when an agent connects, when it is time to look whether some may still come, or when `signal` aborts. */
  async #change(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const done = (): void => resolve(undefined)
    const unsubscribe = this.#manager.onAdd(done)
    const timer = setTimeout(done, LOOK_MS)
    signal.addEventListener('abort', done, { once: true })
    await promise
    signal.removeEventListener('abort', done)
    clearTimeout(timer)
    unsubscribe()
  }

  #noAgent(tried: number): DialOutcome {
    if (tried > 0) return failed('agent-gone', 'the agent disconnected before it answered')
    this.#metrics.dialFailures.add({ reason: 'no_agent' })
    return failed('no-agent', 'No agent available')
  }

  #aborted(address: string, signal: AbortSignal): DialOutcome {
    const timedOut = signal.reason instanceof DeadlineError
    this.#metrics.dialFailures.add({ reason: timedOut ? 'backend_dial_timeout' : 'frontend_close' })
    return timedOut
      ? failed('timeout', `dial timeout: no answer for ${address} within ${this.#timeoutMs} ms`)
      : failed('aborted', 'the client went away')
  }
}

function failed(reason: DialFailure, message: string): DialOutcome {
  return { kind: 'failed', reason, message }
}
