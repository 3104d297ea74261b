/**
 * Life of a component:
 *
 *   waiting ─► starting ─► not-ready ◄─► ready
 *      │           │           │           │
 *      │           └─► failed ◄┘           │
 *      │                 │                 │
 *      └─────────► stopping ◄──────────────┘
 *                      └─► stopped (or failed: it did not stop)
 *
 * `not-ready` is both "started, not yet serving" and "served, does not now".
 */
export type ComponentState = 'waiting' | 'starting' | 'not-ready' | 'ready' | 'failed' | 'stopping' | 'stopped'

/** A change of state. */
export interface ComponentEvent {
  /** ISO 8601. */
  readonly at: string
  readonly state: ComponentState
  readonly reason?: string | undefined
}

/** A component as the status socket shows it. */
export interface ComponentStatus {
  readonly name: string
  readonly state: ComponentState
  /** Names of the components it is after that are not ready yet; only while `waiting`. */
  readonly waitingFor: readonly string[]
  /** Why it is not ready or failed. */
  readonly reason?: string | undefined
  /** When it entered the state, ISO 8601. */
  readonly since: string
  /** When it was last probed, ISO 8601. */
  readonly probedAt?: string | undefined
  /** How often its process was started again, where it has one and says so. */
  readonly restarts?: number | undefined
  /** What it warns of although it may serve. */
  readonly warnings?: readonly string[] | undefined
  /** The last 64 changes of state, oldest first. */
  readonly events: readonly ComponentEvent[]
}

const MAX_EVENTS = 64

const allowed: Readonly<Record<ComponentState, readonly ComponentState[]>> = {
  waiting: ['starting', 'stopping'],
  starting: ['not-ready', 'failed', 'stopping'],
  'not-ready': ['ready', 'failed', 'stopping'],
  ready: ['not-ready', 'stopping'],
  failed: ['stopping'],
  stopping: ['stopped', 'failed'],
  stopped: ['waiting'],
}

/** State and history of one component. */
export class StateRecord {
  #state: ComponentState = 'stopped'
  #reason: string | undefined
  #since = new Date()
  #probedAt: Date | undefined
  #events: readonly ComponentEvent[] = []

  get state(): ComponentState {
    return this.#state
  }

  get reason(): string | undefined {
    return this.#reason
  }

  get since(): string {
    return this.#since.toISOString()
  }

  get probedAt(): string | undefined {
    return this.#probedAt?.toISOString()
  }

  get events(): readonly ComponentEvent[] {
    return this.#events
  }

  /** The only door: what the diagram does not show is a bug and throws. */
  transition(to: ComponentState, reason?: string): void {
    if (!allowed[this.#state].includes(to)) throw new TypeError(`a component cannot go from ${this.#state} to ${to}`)
    this.#state = to
    this.#reason = reason
    this.#since = new Date()
    this.#events = [...this.#events, { at: this.since, state: to, ...(reason !== undefined && { reason }) }].slice(
      -MAX_EVENTS,
    )
  }

  /** Notes a probe that changes nothing but perhaps the reason: no event, or a flapping message would push out the rest. */
  probed(reason: string | undefined): void {
    this.#probedAt = new Date()
    this.#reason = reason
  }
}
