import { errnoCode, errorMessage, K0sError } from '#pkg/errors/error.ts'

/** A process could not be started at all. */
export class ProcessStartError extends K0sError {
  override readonly code = 'ERR_PROCESS_START'

  constructor(name: string, path: string, cause: unknown) {
    super(`cannot start ${name} (${path}): ${startReason(cause)}`, { cause })
  }
}

/** A process ended again and again before it ever served. */
export class ProcessCrashLoopError extends K0sError {
  override readonly code = 'ERR_PROCESS_CRASH_LOOP'

  constructor(failures: number, lastExit: string, options: { readonly cause: unknown }) {
    super(`its process was started ${failures} times and ended each time; last: ${lastExit}`, options)
  }
}

/** A process that was to replace a running one ended before it had taken over; the running one goes on. */
export class ProcessReplaceError extends K0sError {
  override readonly code = 'ERR_PROCESS_REPLACE'

  constructor(name: string, exit: string) {
    super(`cannot replace ${name}: its new process ended (${exit}); the old one goes on`)
  }
}

/** A process is still there after SIGKILL. */
export class ProcessStopError extends K0sError {
  override readonly code = 'ERR_PROCESS_STOP'

  constructor(name: string, groupId: number) {
    super(`${name} (process group ${groupId}) does not end, not even by SIGKILL; look for a hanging disk or mount`)
  }
}

function startReason(cause: unknown): string {
  switch (errnoCode(cause)) {
    case 'ENOENT':
      return 'no such file, or its working directory does not exist'
    case 'EACCES':
      return 'not executable, or on a file system mounted noexec'
    case 'EPERM':
      return 'changing to its user needs root'
    case 'ENOEXEC':
      return 'not a program for this machine'
    default:
      return errorMessage(cause)
  }
}
