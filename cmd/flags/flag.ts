/**
 * One flag of a command. The semantics are those of Go's pflag, which k0s's users and their scripts rely on; see
 * ./parse.ts for how a command line is read.
 */
export interface Flag<T> {
  /** One sentence for the help text, without a full stop. */
  readonly description: string
  /** Completes "takes …" in an error message, for example `a duration such as 1h30m`. */
  readonly takes: string
  /** Placeholder of the value in the help text; absent for booleans. */
  readonly valueName?: string | undefined
  /** Value when neither the command line nor the environment gives one. */
  readonly default: T
  /** The default as the help text shows it; absent when there is nothing to show. */
  readonly defaultText?: string | undefined
  /** One letter. */
  readonly short?: string | undefined
  /** What `--flag` without a value stands for (pflag's NoOptDefVal); flags without it take the next argument. */
  readonly noValue?: string | undefined
  /** Environment variable that replaces the default. A value that does not parse is ignored, as k0s does for DEBUG. */
  readonly env?: string | undefined
  /** Left out of the help text. */
  readonly hidden?: boolean | undefined
  /** The closed list of values, for the help text. */
  readonly choices?: readonly string[] | undefined
  /** Why the flag cannot be used yet and what to do instead: giving it another value than its default is an error. */
  readonly unavailable?: string | undefined
  /** Reads one value. @throws FlagValueError */
  parse(text: string): T
  /** Joins a repeated flag with what was given before; without it the last one wins. */
  add?(previous: T, next: T): T
}

/** Flags of a command by their long name. */
export type FlagTable = Readonly<Record<string, Flag<unknown>>>

/** What parsing a table yields. */
export type FlagValues<F extends FlagTable> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never }

/** A value that a flag does not take; `reason` adds to what `takes` says. */
export class FlagValueError extends Error {
  constructor(reason?: string) {
    super(reason ?? '')
    this.name = 'FlagValueError'
  }
}

/** What every constructor below takes beside the description. */
export interface FlagOptions {
  readonly short?: string
  readonly env?: string
  readonly hidden?: boolean
  readonly unavailable?: string
  readonly valueName?: string
  readonly takes?: string
}
