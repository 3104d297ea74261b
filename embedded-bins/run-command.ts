import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

import { BuildError } from '#embedded-bins/step.ts'

/** How to run one program. */
export interface Command {
  readonly argv: readonly [string, ...string[]]
  readonly cwd?: string
  /** Set besides the environment of this process. */
  readonly env?: Readonly<Record<string, string>>
  /** Lines of its standard error that say nothing about a failure. */
  readonly noise?: RegExp
  /** Called with every line of its standard error. */
  readonly onErrorLine?: (line: string) => void
}

const TERMINATE_GRACE_MS = 5_000
const ERROR_LINES = 25

/**
 * Runs a program to its end and returns its standard output. An abort ends its whole process group.
 * @throws BuildError with the last lines of its standard error unless it exits with 0.
 */
export async function runCommand(command: Command, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  const [file, ...args] = command.argv
  // A group of its own: a compiler's children end with it, and an interrupt from the terminal comes through us only.
  const child = spawn(file, args, {
    cwd: command.cwd,
    env: { ...process.env, ...command.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const lastLines: string[] = []
  let killTimer: NodeJS.Timeout | undefined
  const killGroup = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name)
    } catch {
      // The group ended by itself.
    }
  }
  const terminate = (): void => {
    killGroup('SIGTERM')
    killTimer = setTimeout(() => killGroup('SIGKILL'), TERMINATE_GRACE_MS)
  }
  signal.addEventListener('abort', terminate, { once: true })
  try {
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (command.noise?.test(line) !== true) lastLines.push(line)
      if (lastLines.length > ERROR_LINES) lastLines.shift()
      command.onErrorLine?.(line)
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    const ended = await new Promise<string>((resolve, reject) => {
      child.once('error', (error) => reject(new BuildError(`cannot run ${file}: ${error.message}`)))
      child.once('close', (code, killedBy) => resolve(killedBy ?? `exit code ${String(code)}`))
    })
    signal.throwIfAborted()
    if (ended !== 'exit code 0') throw new BuildError([`${file} ended with ${ended}:`, ...lastLines].join('\n'))
    return output
  } finally {
    signal.removeEventListener('abort', terminate)
    clearTimeout(killTimer)
  }
}
