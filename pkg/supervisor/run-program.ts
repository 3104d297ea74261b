import { execFile } from 'node:child_process'
import { errnoCode } from '#pkg/errors/error.ts'
import { DeadlineError, withDeadline } from '#pkg/lifecycle/deadline.ts'

/** What a program left that ran to its end. */
export interface ProgramResult {
  /** Exit code; undefined when the program is not installed. */
  readonly code: number | undefined
  /** What it printed, at most 16 MiB each. */
  readonly stdout: string
  readonly stderr: string
}

/** How a program is run. */
export interface ProgramOptions {
  /** It is killed after this many milliseconds. Default: a minute. */
  readonly timeoutMs?: number | undefined
  /** Its abort kills the program. */
  readonly signal?: AbortSignal | undefined
  /** Written to its standard input, which is empty otherwise. */
  readonly input?: string | undefined
  /** Whole environment; default: PATH with the usual system directories. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

/**
 * Runs a program, named by its path or found on the PATH of the system, to its end, whatever its exit code is.
 *
 * @throws DeadlineError naming the command line; the reason of the signal; an Error for a program that was killed
 */
export type RunProgram = (name: string, args: readonly string[], options?: ProgramOptions) => Promise<ProgramResult>

const DEFAULT_TIMEOUT_MS = 60_000
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export const runProgram: RunProgram = async (name, args, options = {}) => {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, input, env = { PATH } } = options
  return await withDeadline(
    signal,
    timeoutMs,
    async (inner) =>
      await new Promise((resolve, reject) => {
        const how = { env: { ...env }, signal: inner, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' as const }
        const child = execFile(name, [...args], how, (err, stdout, stderr) => {
          if (err === null) resolve({ code: 0, stdout, stderr })
          else if (signal?.aborted === true) reject(signal.reason instanceof Error ? signal.reason : err)
          else if (inner.aborted) reject(new DeadlineError(timeoutMs, [name, ...args].join(' ')))
          else if (typeof err.code === 'number') resolve({ code: err.code, stdout, stderr })
          else if (errnoCode(err) === 'ENOENT') resolve({ code: undefined, stdout, stderr })
          else
            reject(
              new Error(
                `${name} ${err.signal == null ? `cannot be run: ${err.message}` : `was ended by ${err.signal}`}`,
                { cause: err },
              ),
            )
        })
        child.stdin?.on('error', () => undefined) // it may end before it has read; its exit code says why
        child.stdin?.end(input)
      }),
  )
}

/** The last line with something in it. Pure. */
export function lastLine(output: string): string | undefined {
  return output
    .split('\n')
    .map((line) => line.trim())
    .findLast((line) => line !== '')
}
