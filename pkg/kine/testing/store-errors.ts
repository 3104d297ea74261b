import { StoreError } from '#pkg/kine/errors.ts'

/** That the database is away. */
export function unavailable(error: unknown): boolean {
  return error instanceof StoreError && error.kind === 'unavailable'
}
