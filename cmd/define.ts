import type { FlagTable, FlagValues } from '#cmd/flags/flag.ts'
import type { GivenFlag } from '#cmd/flags/parse.ts'

/** A command as data: what help, the reference and the parser know of it, and the one call that runs it. */
export interface CommandDefinition<F extends FlagTable = FlagTable> {
  /** Words after `k0s`, for example `token create`. */
  readonly id: string
  /** Other words for the same command. */
  readonly aliases?: readonly string[]
  /** One line for lists. */
  readonly summary: string
  /** What it does, in a few sentences. */
  readonly description?: string
  readonly examples: readonly Example[]
  readonly args?: readonly ArgSpec[]
  readonly flags: F
  /** The arguments belong to another program and are not looked at, `--help` included. */
  readonly passThrough?: boolean
  /** Runs without oclif: a process that stays, or that becomes another program. */
  readonly withoutOclif?: boolean
  /** Left out of help and reference. */
  readonly hidden?: boolean
  run(invocation: Invocation<F>): Promise<void>
}

/** A command line worth copying. */
export interface Example {
  readonly description: string
  /** Without the leading `k0s`. */
  readonly command: string
}

/** One positional argument. */
export interface ArgSpec {
  readonly name: string
  readonly description: string
  readonly required?: boolean
  /** Takes all that follow; only the last one may. */
  readonly multiple?: boolean
}

/** What a command is run with. */
export interface Invocation<F extends FlagTable = FlagTable> {
  readonly flags: FlagValues<F>
  readonly args: readonly string[]
  /** Long names of the flags on the command line. */
  readonly changed: ReadonlySet<string>
  /** The flags of the command line as it has them, for handing them on. */
  readonly given: readonly GivenFlag[]
  readonly io: CommandIo
}

/** The process as a command sees it; tests pass their own. */
export interface CommandIo {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Numeric user of the process. */
  readonly uid: number
  /** The executable that was called (the launcher, not Node.js), for messages and for looking beside it. */
  readonly self: string
  stdout(text: string): void
  stderr(text: string): void
}

/** Keeps the types of the flags together with `run`. */
export function defineCommand<F extends FlagTable>(definition: CommandDefinition<F>): CommandDefinition {
  // Method parameters are bivariant: the runner only ever passes the values that this very table parsed.
  return definition
}
