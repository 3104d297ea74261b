import { K0sError } from '#pkg/errors/error.ts'

/** A patch is not well-formed, or does not fit the object that it is for. The message says what, not which patch. */
export class PatchError extends K0sError {
  override readonly code = 'ERR_PATCH'
}
