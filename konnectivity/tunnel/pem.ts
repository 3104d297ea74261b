import { readFile } from 'node:fs/promises'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'

/** A file that the tunnel was told to use cannot be read, or has nothing in it. */
export class TunnelFileError extends K0sError {
  override readonly code = 'ERR_TUNNEL_FILE'
}

/** Reads the file that `flag` names. @throws TunnelFileError */
export async function readPem(path: string, flag: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new TunnelFileError(`cannot read ${path} given by --${flag}: ${errorMessage(cause)}`, { cause })
  })
  // OpenSSL takes nothing for none: a file that is just being written would turn its part of TLS off.
  if (text.trim() === '') throw new TunnelFileError(`${path} given by --${flag} is empty`)
  return text
}
