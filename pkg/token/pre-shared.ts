import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { UsageError } from '#pkg/errors/usage.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { asFileError } from '#pkg/file/errors.ts'
import { generateBootstrapToken } from '#pkg/token/bootstrap-token.ts'
import { encodeJoinToken, type TokenRole } from '#pkg/token/join-token.ts'
import { tokenSecret } from '#pkg/token/token-store.ts'

/** A token that is made where no cluster can be asked. */
export interface PreSharedOptions {
  /** Certificate of the cluster's authority. */
  readonly certFile: string
  /** `https://host:6443` (worker) or `https://host:9443` (controller). */
  readonly url: string
  readonly role: TokenRole
  readonly directory: string
  readonly expiresAt?: Date | undefined
}

/** For their owner and group only, as k0s has them. */
const FILE_MODE = 0o640

/**
 * Writes the token and the Secret that makes it valid; the names of the files are k0s's.
 *
 * @returns their paths.
 * @throws UsageError, FileError
 */
export async function writePreSharedToken(
  options: PreSharedOptions,
): Promise<{ readonly token: string; readonly secret: string }> {
  const { certFile, url, role, directory, expiresAt } = options
  if (certFile === '' || url === '') throw new UsageError('k0s token pre-shared needs --cert and --url')
  if (!URL.canParse(url) || new URL(url).protocol !== 'https:') {
    throw new UsageError(`--url=${url} is not a URL that begins with https://`)
  }
  const caPem = await asFileError('read', certFile, () => readFile(certFile, 'utf8'))
  if (!caPem.includes('-----BEGIN CERTIFICATE-----')) throw new UsageError(`${certFile} is not a certificate (PEM)`)
  const bootstrapToken = generateBootstrapToken()
  const files = {
    token: join(directory, `token_${bootstrapToken.id}`),
    secret: join(directory, `bootstrap-token-${bootstrapToken.id}.yaml`),
  }
  await writeFileAtomic(files.secret, stringify(tokenSecret(bootstrapToken, { role, expiresAt })), { mode: FILE_MODE })
  const text = encodeJoinToken({ role, server: url, caPem, bootstrapToken })
  await writeFileAtomic(files.token, text, { mode: FILE_MODE })
  return files
}
