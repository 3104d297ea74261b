import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** What a finished program left. */
export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** How to run a program to its end. */
export interface RunOptions {
  /** Written to its standard input, which is empty otherwise. */
  readonly input?: string | Buffer
  /** Default 60 s: a liveness bound, not an expectation. */
  readonly timeoutMs?: number
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** Runs a program and returns what it printed, whatever its exit code; rejects when it cannot start or hangs. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { stdout, ...rest } = await runBytes(argv, options)
  return { ...rest, stdout: stdout.toString() }
}

/** As run(), with standard output as bytes. */
export async function runBytes(
  argv: readonly string[],
  { input, timeoutMs = 60_000, env, cwd }: RunOptions = {},
): Promise<{ readonly code: number; readonly stdout: Buffer; readonly stderr: string }> {
  const [program = '', ...args] = argv
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env }, cwd })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  child.stdin.on('error', () => undefined) // it may end without reading its input; its exit code tells
  child.stdin.end(input)
  let timedOut = false as boolean // set by the timer
  const timer = setTimeout(() => {
    timedOut = true
    child.kill('SIGKILL')
  }, timeoutMs)
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    const stderr = Buffer.concat(err).toString()
    if (timedOut) {
      throw new Error(`${argv.join(' ')}: no end after ${timeoutMs} ms; it said: ${stderr.slice(-2000)}`)
    }
    return { code: code ?? -1, stdout: Buffer.concat(out), stderr }
  } finally {
    clearTimeout(timer)
  }
}

/** Runs a program that has to succeed and returns its standard output. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(argv, options)
  if (code !== 0) throw new Error(`${argv.join(' ')}: exit code ${code}: ${(stderr || stdout).trim().slice(-2000)}`)
  return stdout
}

/** Resolves once a child has ended; at once when it already has. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
