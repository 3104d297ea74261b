import type { ErrorCode } from '#pkg/errors/registry.ts'

/**
 * Base of every error that a user may see. The message is one line: what failed, on what, and what to do about it.
 * `cmd` prints it as `Error: <message>` and exits 1; the chain of causes is shown with `--debug`.
 */
export abstract class K0sError extends Error {
  /** Stable identifier, listed in pkg/errors/registry.ts and docs/reference/errors.md. */
  abstract readonly code: ErrorCode

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.name = new.target.name
  }
}

/** The message of anything that was thrown, without its stack. */
export function errorMessage(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** The `code` of a Node.js system error (`ENOENT`, `EADDRINUSE`), or undefined. */
export function errnoCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined
  return typeof thrown.code === 'string' ? thrown.code : undefined
}

/** Ends a switch over a union: does not compile while a case is missing. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected value: ${JSON.stringify(value)}`)
}
