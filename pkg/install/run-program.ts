import { execFile } from 'node:child_process'
import { errnoCode } from '#pkg/errors/error.ts'

/** What a program of the host left. */
export interface ProgramResult {
  /** Exit code; undefined when the program is not installed. */
  readonly code: number | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program of the host to its end, whatever its exit code is. */
export type RunProgram = (
  name: string,
  args: readonly string[],
  options?: { readonly timeoutMs?: number },
) => Promise<ProgramResult>

const DEFAULT_TIMEOUT_MS = 60_000
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export const runProgram: RunProgram = async (name, args, { timeoutMs = DEFAULT_TIMEOUT_MS } = {}) =>
  await new Promise((resolve, reject) => {
    execFile(name, [...args], { env: { PATH }, timeout: timeoutMs }, (err, stdout, stderr) => {
      if (err === null) resolve({ code: 0, stdout, stderr })
      else if (typeof err.code === 'number') resolve({ code: err.code, stdout, stderr })
      else if (errnoCode(err) === 'ENOENT') resolve({ code: undefined, stdout, stderr })
      else reject(new Error(`${[name, ...args].join(' ')} gave no answer within ${timeoutMs / 1000} s`, { cause: err }))
    })
  })

/** What a failed program said, in one line. */
export function said({ code, stdout, stderr }: ProgramResult): string {
  if (code === undefined) return 'the program is not installed'
  const text = stderr.trim() === '' ? stdout : stderr
  const lines = text.split('\n').map((line) => line.replace(/^\s*\*\s*/, '').trim())
  return lines.filter((line) => line !== '').join('; ') || `exit code ${code}`
}
