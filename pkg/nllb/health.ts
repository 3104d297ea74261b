import { errnoCode, errorMessage } from '#pkg/errors/error.ts'

/**
 * What is known of a backend. `new`: nothing yet. `ready`: it said that it serves. `unready`: its process answers, but not that.
 * `closed`: its host answers, nobody listens there. `silent`: nothing answers, so that connections to it are dead, too.
 */
export type Health = 'new' | 'ready' | 'unready' | 'closed' | 'silent'

/** What came of asking a backend, or of connecting to it. */
export type Finding =
  /** `new`: its port is open, and it cannot be asked yet. */
  { readonly health: 'ready' | 'new' } | { readonly health: 'unready' | 'closed' | 'silent'; readonly reason: string }

/** Asks one backend, again and again. */
export interface HealthProbe {
  /** Resolves within a few seconds; rejects only when `signal` aborts. */
  ask(signal: AbortSignal): Promise<Finding>
  /** As `ask`, for less: of a backend that is there it finds out nothing new. */
  isThere(signal: AbortSignal): Promise<Finding | undefined>
  /** Ends what it holds open. */
  close(): void
}

/** Nothing came in time. The code is the kernel's for the same. */
export class SilenceError extends Error {
  readonly code = 'ETIMEDOUT'
}

/** What a connection that could not be made, or was lost, says of the backend. Pure. */
export function findingOf(error: unknown): Finding {
  const reason = errorMessage(error)
  switch (errnoCode(error)) {
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case 'EPIPE':
      return { health: 'closed', reason }
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'EHOSTDOWN':
    case 'ENETUNREACH':
    case 'ENETDOWN':
      return { health: 'silent', reason }
    default:
      // A certificate that one of the two does not accept, no HTTP/2; or this process itself has no more connections to open.
      return { health: 'unready', reason }
  }
}
