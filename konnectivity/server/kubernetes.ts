/** A server's Lease, as far as counting and collecting goes. */
export interface ServerLease {
  readonly name: string
  readonly resourceVersion: string
  /** renewTime, or acquireTime where it was never renewed. */
  readonly renewedAt: Date | undefined
  readonly durationSeconds: number
}

/**
 * The Leases of the servers, in one namespace and with one set of labels. What the API server refuses is thrown as an error
 * with `status` (HTTP) and `reason`.
 */
export interface ServerLeaseStore {
  list(options: { readonly signal: AbortSignal }): Promise<readonly ServerLease[]>
  /** Creates or renews the lease of that name, now. Resolves with its new version. */
  renew(
    lease: { readonly name: string; readonly holder: string; readonly durationSeconds: number },
    options: { readonly signal: AbortSignal },
  ): Promise<string>
  /** Deletes the lease unless it changed since. @throws with status 404 or 409 when it is not there, or changed */
  remove(lease: Pick<ServerLease, 'name' | 'resourceVersion'>, options: { readonly signal: AbortSignal }): Promise<void>
}

/** What the API server says of a token; the fields are those of TokenReview's status. */
export interface TokenReviewResult {
  readonly authenticated: boolean
  readonly username: string
  /** Of those asked for, the ones that the token is for. */
  readonly audiences: readonly string[]
  readonly error: string
}

/** Asks the API server about tokens. */
export interface TokenReviewer {
  /** @throws when there is no answer */
  review(token: string, audience: string, options: { readonly signal: AbortSignal }): Promise<TokenReviewResult>
}

/** The lease's holder renewed it recently enough. */
export function isLeaseValid({ renewedAt, durationSeconds }: ServerLease, now = Date.now()): boolean {
  return renewedAt !== undefined && renewedAt.getTime() + durationSeconds * 1_000 > now
}

/** HTTP status and reason of a failed call; 0 where there was no answer. */
export function failureOf(thrown: unknown): { readonly status: number; readonly reason: string } {
  const { status, reason } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as Record<string, unknown>
  return { status: typeof status === 'number' ? status : 0, reason: typeof reason === 'string' ? reason : '' }
}
