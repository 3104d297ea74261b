import { K0sError } from '#pkg/errors/error.ts'

/** The host has no init system that k0s can make a service for. */
export class NoInitSystemError extends K0sError {
  override readonly code = 'ERR_NO_INIT_SYSTEM'
}

/** The service is not what the command needs it to be, or the init system refused; the message says what to do. */
export class ServiceError extends K0sError {
  override readonly code = 'ERR_SERVICE'
}

/** A system user cannot be made or removed. */
export class SystemUserError extends K0sError {
  override readonly code = 'ERR_SYSTEM_USER'
}
