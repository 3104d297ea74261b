import type { Logger } from '#pkg/log/logger.ts'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'

/** What a step of a reset works with. */
export interface ResetContext {
  readonly vars: CfgVars
  readonly log: Logger
  readonly signal: AbortSignal
  /** Runs a program of the host; undefined when it is not installed. */
  readonly run: RunProgram
  /** A worker ran here: what it changed outside the data directory is to be undone. */
  readonly worker: boolean
  /** A step before this one left something: what tells the next reset of it has to stay. */
  readonly unfinished: boolean
  /** Stands for `/`; tests give a tree of their own. */
  readonly root: string
}

/** Runs `name` with its arguments: what it printed, or undefined when the host does not have it. Rejects unless it exits 0. */
export type RunProgram = (name: string, args: readonly string[], input?: string) => Promise<string | undefined>

/** What a step did. Nothing removed and no problem: there was nothing to do. */
export interface StepReport {
  readonly step: string
  readonly removed: readonly string[]
  /** What is left, and why; the reset goes on and fails in the end. */
  readonly problems: readonly string[]
}

/** One step: idempotent, so that a reset that failed half-way is repeated from the start. */
export interface ResetStep {
  readonly name: string
  run(context: ResetContext): Promise<Omit<StepReport, 'step'>>
}
