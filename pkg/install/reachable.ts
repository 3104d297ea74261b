import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoCode } from '#pkg/errors/error.ts'
import { asFileError } from '#pkg/file/errors.ts'
import { ServiceError } from '#pkg/install/errors.ts'

/** Others may pass through the directory. */
const SEARCH_BY_OTHERS = 0o001

/**
 * Fails unless system users can pass through every directory above `path` that is there already: as root everything works
 * from a home directory, and with users of its own the control plane does not start.
 *
 * @throws ServiceError naming the directory
 */
export async function assertReachable(path: string, what: string): Promise<void> {
  for (let dir = dirname(path); ; dir = dirname(dir)) {
    const mode = await asFileError('look at', dir, () => modeOf(dir))
    if (mode !== undefined && (mode & SEARCH_BY_OTHERS) === 0) {
      throw new ServiceError(
        `${what} ${path} is below ${dir}, which only its owner may enter, and the control plane runs as system users of its own; use a place such as /usr/local/bin or /var/lib, or chmod o+x ${dir}`,
      )
    }
    if (dir === dirname(dir)) return
  }
}

async function modeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mode
  } catch (err) {
    if (errnoCode(err) === 'ENOENT') return undefined
    throw err
  }
}
