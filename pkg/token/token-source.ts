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

/** The text of a join token, read when it is needed. @throws FileError, TokenError for a file that gives none */
export type TokenSource = () => Promise<string>

/**
 * Where the join token is, or undefined when none is given. It is read later or never: a node that has joined starts without, its file
 * may be gone or empty.
 *
 * @throws UsageError when more than one place has it
 */
export function tokenSource({ argument, file, environment }: TokenSources): TokenSource | undefined {
  const given = [
    ...(argument === undefined ? [] : ['as argument']),
    ...(file === undefined ? [] : [`with --token-file ${file}`]),
    ...(environment === undefined || environment === '' ? [] : ['in K0S_TOKEN']),
  ]
  if (given.length > 1) throw new UsageError(`the join token is given twice: ${given.join(' and ')}; give it once`)
  const text = argument ?? (environment === '' ? undefined : environment)
  if (text !== undefined) return () => Promise.resolve(text)
  return file === undefined ? undefined : () => readTokenFile(file)
}

/** The text of the join token, or undefined when none is given. @throws UsageError, FileError, TokenError */
export async function readToken(sources: TokenSources): Promise<string | undefined> {
  return await tokenSource(sources)?.()
}

async function readTokenFile(file: string): Promise<string> {
  const text = await asFileError('read the join token from', file, () => readFile(file, 'utf8'))
  if (text.trim() === '') throw new TokenError(`the join token file ${file} is empty; write a token into it`)
  return text.trim()
}
