import { readFile } from 'node:fs/promises'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'

/** A file that the tunnel was told to use cannot be read. */
export class TunnelFileError extends K0sError {
  override readonly code = 'ERR_TUNNEL_FILE'
}

/** Reads the file that `flag` names. @throws TunnelFileError */
export async function readPem(path: string, flag: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new TunnelFileError(`cannot read ${path} given by --${flag}: ${errorMessage(cause)}`, { cause })
  }
}
