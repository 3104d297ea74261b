/** One entry of the error reference (docs/reference/errors.md is generated from this table). */
export interface ErrorEntry {
  /** What the error means, one sentence. */
  readonly summary: string
  /** What the user does about it, one sentence. */
  readonly remedy: string
}

/**
 * Every error code of the product, sorted by name. A class deriving from K0sError names one of these; adding a code
 * without an entry does not compile.
 */
export const errorRegistry = {
  ERR_COMPONENT_NOT_READY: {
    summary: 'A component was started but did not become ready in time.',
    remedy: 'Read the last reason in the message and the log lines of that component.',
  },
  ERR_USAGE: {
    summary: 'The command line is not valid.',
    remedy: 'Run the command with --help to see its flags and examples.',
  },
} as const satisfies Readonly<Record<`ERR_${string}`, ErrorEntry>>

/** Name of an entry of the error reference. */
export type ErrorCode = keyof typeof errorRegistry
