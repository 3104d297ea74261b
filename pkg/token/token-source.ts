import { readFile } from 'node:fs/promises'
import { UsageError } from '#pkg/errors/usage.ts'
import { asFileError } from '#pkg/file/errors.ts'
import { TokenError } from '#pkg/token/errors.ts'

/** The places a join token may come from. */
export interface TokenSources {
  readonly argument?: string | undefined
  /** `--token-file`. */
  readonly file?: string | undefined
  /** Value of K0S_TOKEN. */
  readonly environment?: string | undefined
}

/**
 * The text of the join token, or undefined when none is given.
 *
 * @throws UsageError when more than one source has it; FileError, TokenError for a file that gives none
 */
export async function readToken({ argument, file, environment }: TokenSources): Promise<string | undefined> {
  const given = [
    ...(argument === undefined ? [] : ['as argument']),
    ...(file === undefined ? [] : [`with --token-file ${file}`]),
    ...(environment === undefined || environment === '' ? [] : ['in K0S_TOKEN']),
  ]
  if (given.length > 1) throw new UsageError(`the join token is given twice: ${given.join(' and ')}; give it once`)
  if (file === undefined) return argument ?? (environment === '' ? undefined : environment)
  const text = await asFileError('read the join token from', file, () => readFile(file, 'utf8'))
  if (text.trim() === '') throw new TokenError(`the join token file ${file} is empty; write a token into it`)
  return text.trim()
}
