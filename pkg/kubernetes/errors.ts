import { K0sError } from '#pkg/errors/error.ts'

/** The API server answered, and the answer is a failure. */
export class KubeApiError extends K0sError {
  override readonly code = 'ERR_KUBE_API'
  /** HTTP status, for example 404. */
  readonly status: number
  /** metav1.StatusReason, for example `NotFound`; empty when the server gave none. */
  readonly reason: string
  /** Seconds after which the server asks to try again (429, 503), if it said so. */
  readonly retryAfterSeconds: number | undefined

  constructor(failure: {
    readonly status: number
    readonly reason: string
    readonly message: string
    readonly retryAfterSeconds?: number | undefined
  }) {
    super(failure.message)
    this.status = failure.status
    this.reason = failure.reason
    this.retryAfterSeconds = failure.retryAfterSeconds
  }
}

/** No usable answer came back: connection refused or lost, TLS failure, time-out, malformed answer. */
export class KubeConnectionError extends K0sError {
  override readonly code = 'ERR_KUBE_CONNECTION'
}

/** The object, or the kind itself, does not exist. */
export function isNotFound(thrown: unknown): thrown is KubeApiError {
  return thrown instanceof KubeApiError && thrown.status === 404
}

/** The object changed since it was read, or a field belongs to another manager. */
export function isConflict(thrown: unknown): thrown is KubeApiError {
  return thrown instanceof KubeApiError && thrown.status === 409 && thrown.reason !== 'AlreadyExists'
}

/** An object of that name exists already. */
export function isAlreadyExists(thrown: unknown): thrown is KubeApiError {
  return thrown instanceof KubeApiError && thrown.status === 409 && thrown.reason === 'AlreadyExists'
}

/** The resource version of a watch or of a continued list is compacted away: list again. */
export function isGone(thrown: unknown): thrown is KubeApiError {
  return thrown instanceof KubeApiError && (thrown.status === 410 || thrown.reason === 'Expired')
}

/** Worth another try without any change: no answer, overload, or a server that is starting or stopping. */
export function isTransient(thrown: unknown): boolean {
  if (thrown instanceof KubeConnectionError) return true
  return thrown instanceof KubeApiError && (thrown.status === 429 || thrown.status >= 500)
}
