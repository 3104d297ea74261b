import { K0sError } from '#pkg/errors/error.ts'

/** A file that the product ships with is missing or cannot be put to use. */
export class AssetError extends K0sError {
  override readonly code = 'ERR_ASSET'
}
