import { K0sError } from '#pkg/errors/error.ts'

/** The command line is not valid; the message names the flag or argument and what it takes. */
export class UsageError extends K0sError {
  override readonly code = 'ERR_USAGE'
}
