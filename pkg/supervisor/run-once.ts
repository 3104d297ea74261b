import { execFile } from 'node:child_process'
import { K0sError } from '#pkg/errors/error.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'

/** A program that runs to its end. */
export interface OnceSpec {
  /** Absolute path. */
  readonly path: string
  readonly args: readonly string[]
  /** Whole environment; default: PATH with the usual system directories. */
  readonly env?: Readonly<Record<string, string>>
  /** It is killed after this many milliseconds. */
  readonly timeoutMs: number
  /** Leaves the processors to others: what nice(1) adds, 1 to 19. Default: no less than ours. */
  readonly niceness?: number
}

/** What the program printed, at most 16 MiB each. */
export interface OnceResult {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end. @throws RunOnceError unless it exits 0 */
export type RunOnce = (spec: OnceSpec, options: { readonly signal: AbortSignal }) => Promise<OnceResult>

/** The program ended with an error; the message has the line of its output that says most. */
export class RunOnceError extends K0sError {
  override readonly code = 'ERR_PROGRAM_FAILED'
  /** What the program itself said last. */
  readonly lastLine: string

  constructor(program: string, lastLine: string, options: { readonly cause: unknown }) {
    super(`${program}: ${lastLine}`, options)
    this.lastLine = lastLine
  }
}

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export const runOnce: RunOnce = async (
  { path, args, env = { PATH: DEFAULT_PATH }, timeoutMs, niceness },
  { signal },
) => {
  // By nice(1) and not afterwards: a priority set from outside reaches one thread only.
  const [program, programArgs] =
    niceness === undefined ? [path, args] : ['nice', ['-n', String(niceness), path, ...args]]
  return await withDeadline(
    signal,
    timeoutMs,
    async (inner) =>
      await new Promise<OnceResult>((resolve, reject) => {
        const options = { env: { ...env }, signal: inner, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' as const }
        execFile(program, [...programArgs], options, (err, stdout, stderr) => {
          if (err === null) resolve({ stdout, stderr })
          else if (inner.aborted) reject(inner.reason instanceof Error ? inner.reason : err)
          else reject(new RunOnceError(path, lastLine(stderr) ?? lastLine(stdout) ?? err.message, { cause: err }))
        })
      }),
  )
}

function lastLine(output: string): string | undefined {
  return output
    .split('\n')
    .map((line) => line.trim())
    .findLast((line) => line !== '')
}
