import { K0sError } from '#pkg/errors/error.ts'
import { lastLine, runProgram } from '#pkg/supervisor/run-program.ts'

/** A program that runs to its end. */
export interface OnceSpec {
  /** Absolute path. */
  readonly path: string
  readonly args: readonly string[]
  /** Whole environment; default: PATH with the usual system directories. */
  readonly env?: Readonly<Record<string, string>> | undefined
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

  constructor(program: string, lastLine: string) {
    super(`${program}: ${lastLine}`)
    this.lastLine = lastLine
  }
}

export const runOnce: RunOnce = async ({ path, args, env, timeoutMs, niceness }, { signal }) => {
  // By nice(1) and not afterwards: a priority set from outside reaches one thread only.
  const [program, programArgs] =
    niceness === undefined ? [path, args] : ['nice', ['-n', String(niceness), path, ...args]]
  const { code, stdout, stderr } = await runProgram(program, programArgs, { env, timeoutMs, signal })
  if (code === 0) return { stdout, stderr }
  const said = lastLine(stderr) ?? lastLine(stdout)
  throw new RunOnceError(path, code === undefined ? `${program} is not installed` : (said ?? `exit code ${code}`))
}
