import { K0sError } from '#pkg/errors/error.ts'

/** A join token is malformed, of the wrong role, missing, or cannot be made. */
export class TokenError extends K0sError {
  override readonly code = 'ERR_TOKEN'
}
