import { K0sError } from '#pkg/errors/error.ts'

/** Nothing answers at the status socket. */
export class NotRunningError extends K0sError {
  override readonly code = 'ERR_STATUS_NOT_RUNNING'

  /** `hint`: what to do, where more is known than that nothing answers. */
  constructor(socketPath: string, options?: { readonly cause?: unknown; readonly hint?: string }) {
    const start =
      options?.hint ?? 'start it with "k0s controller" or "k0s worker", or name its socket with --status-socket'
    super(`k0s is not running: no answer at ${socketPath}; ${start}`, options)
  }
}

/** The status socket answered with an error, or with something else than expected. */
export class StatusRequestError extends K0sError {
  override readonly code = 'ERR_STATUS_REQUEST'
}

/** Something listens at the status socket and did not answer in time. */
export class NoAnswerError extends StatusRequestError {}

/** The node did not become ready, or did not stop, in the time given. */
export class StatusTimeoutError extends K0sError {
  override readonly code = 'ERR_STATUS_TIMEOUT'
}
