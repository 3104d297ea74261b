import { K0sError } from '#pkg/errors/error.ts'
import type { CommandIo } from '#cmd/define.ts'

/** The command changes what belongs to root. */
export class RootRequiredError extends K0sError {
  override readonly code = 'ERR_NOT_ROOT'
}

/** Checked before anything else, so that nothing is half done. @throws RootRequiredError */
export function requireRoot(io: CommandIo, command: string): void {
  if (io.uid !== 0) throw new RootRequiredError(`k0s ${command} must run as root; use sudo`)
}
