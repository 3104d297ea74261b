import { readFile } from 'node:fs/promises'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'
import type { Endpoint } from '#pkg/kine/endpoint/endpoint.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'
import { KineError } from '#pkg/kine/errors.ts'

/**
 * Reads the files for TLS to the database once, so that one that is missing is an error at the start and not a database
 * that seems to be away.
 *
 * @throws KineError
 */
export async function checkTlsFiles(endpoint: Endpoint): Promise<void> {
  if (endpoint.type === 'sqlite') return
  const { caFile, certFile, keyFile } = endpoint.tls
  const files = { '--ca-file': caFile, '--cert-file': certFile, '--key-file': keyFile }
  for (const [flag, path] of Object.entries(files)) {
    if (path !== undefined) await check(flag, path)
  }
}

async function check(flag: string, path: string): Promise<void> {
  try {
    const text = await readFile(path, 'latin1')
    if (!text.includes('-----BEGIN ')) throw new KineError(`${flag} ${path}: not a PEM file; give one`)
  } catch (error) {
    if (error instanceof KineError) throw error
    // A controller starts kine as a user of its own.
    const advice =
      errnoCode(error) === 'EACCES'
        ? `; let the user with the id ${process.getuid?.() ?? 'of kine'}, as which kine runs, read it`
        : ''
    throw new KineError(`${flag}: cannot read ${path}: ${errorMessage(error)}${advice}`, { cause: error })
  }
}

/** What the files hold, read anew for each connection so that renewed certificates are taken up. @throws KineError */
export async function readTlsFiles({ caFile, certFile, keyFile }: DatabaseTlsFiles): Promise<TlsFileContents> {
  return {
    ...(caFile !== undefined && { ca: await readPem(caFile) }),
    ...(certFile !== undefined && { cert: await readPem(certFile) }),
    ...(keyFile !== undefined && { key: await readPem(keyFile) }),
  }
}

/** PEM texts. */
export interface TlsFileContents {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

async function readPem(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new KineError(`cannot read ${path}: ${errorMessage(error)}`, { cause: error })
  }
}
