import type { Logger } from '#pkg/log/logger.ts'

/**
 * One part of the node; the manager owns its lifetime and calls the methods in the order written here.
 *
 *   start() ──► ready() polled ──► running ──► stop()
 *      └──────────── a failure at any point ─────┘
 */
export interface Component {
  /** kebab-case: also the log field, the status key and the `--disable-components` value. */
  readonly name: string
  /** Names of the components that must be ready before this one starts. */
  readonly after: readonly string[]
  /** Resolves once running in the background. `signal` cancels this start only, never what was started. */
  start(context: StartContext): Promise<void>
  /** Polled until it resolves; rejects with the reason it cannot serve yet. */
  ready(signal: AbortSignal): Promise<void>
  /** Idempotent and legal in every state: when it resolves, nothing of the component runs. */
  stop(): Promise<void>
}

/** What a component is given to start with. */
export interface StartContext {
  readonly signal: AbortSignal
  readonly log: Logger
}
