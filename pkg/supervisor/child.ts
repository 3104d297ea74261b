import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { ProcessStartError } from '#pkg/supervisor/errors.ts'
import { endGroup } from '#pkg/supervisor/group.ts'
import { managedEnvironment } from '#pkg/supervisor/orphan.ts'
import type { Output } from '#pkg/supervisor/output.ts'
import { readPidFile, writePidFile } from '#pkg/supervisor/pid-file.ts'
import type { ProcessSpec } from '#pkg/supervisor/spec.ts'

/** After the exit, how long to wait for output that is still in the pipe, milliseconds. */
const LAST_OUTPUT_MS = 200
/** Processes that a crashed one leaves in its group get this long to end before its next start, milliseconds. */
const REMAINDER_GRACE_MS = 1_000
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** One run of a supervised process. */
export interface Child {
  readonly pid: number
  /** How it ended, for example `exit code 1: unknown flag: --foo`. Never rejects. */
  readonly exited: Promise<string>
  /**
   * Ends what is left of its group; when it resolves nothing of it runs and the PID file is gone. The abort of `inVain`
   * ends the grace time.
   */
  end(graceMs: number, inVain?: AbortSignal): Promise<void>
  /** As end(), for a process that ended by itself. */
  cleanUp(): Promise<void>
}

/**
 * Starts the process of `spec`.
 *
 * @throws ProcessStartError when that is not possible.
 */
export async function startChild(spec: ProcessSpec, output: Output): Promise<Child> {
  const child = spawnDetached(spec)
  // Before any await: a supervisor killed from here on leaves a PID file to find its child by.
  if (child.pid !== undefined) writePidFile(spec.pidFile, child.pid)
  const exited = whenExited(child, output)
  try {
    await once(child, 'spawn')
  } catch (err) {
    throw new ProcessStartError(spec.name, spec.path, err)
  }
  const pid = child.pid ?? 0 // defined once 'spawn' was emitted
  attachStreams(child, spec, output)
  const end = async (graceMs: number, inVain?: AbortSignal): Promise<void> => {
    await endGroup(pid, { name: spec.name, graceMs, inVain })
    await exited
    // A process of another group may still hold the pipes: it is read on, but does not keep us alive.
    for (const stream of [child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref()
    // A successor that runs beside it has put its own number there.
    if (readPidFile(spec.pidFile) === pid) rmSync(spec.pidFile, { force: true })
  }
  return { pid, exited, end, cleanUp: () => end(REMAINDER_GRACE_MS) }
}

/** detached: a session and group of its own, so that a terminal's Ctrl-C reaches it only through us. */
function spawnDetached(spec: ProcessSpec): ChildProcess {
  try {
    return spawn(spec.path, spec.args, {
      detached: true,
      stdio: [spec.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: { PATH: defaultPath, ...spec.env, ...managedEnvironment(spec.pidFile) },
      ...(spec.cwd !== undefined && { cwd: spec.cwd }),
      ...(spec.user !== undefined && { uid: spec.user.uid, gid: spec.user.gid }),
    })
  } catch (err) {
    throw new ProcessStartError(spec.name, spec.path, err) // some errors (E2BIG, EPERM of uid) are thrown, not emitted
  }
}

function attachStreams(child: ChildProcess, spec: ProcessSpec, output: Output): void {
  output.resetTail()
  if (child.stdout) output.attach(child.stdout, 'stdout')
  if (child.stderr) output.attach(child.stderr, 'stderr')
  if (child.stdin) {
    child.stdin.on('error', () => undefined) // it ended without reading; its exit says why
    child.stdin.end(spec.stdin)
  }
}

async function whenExited(child: ChildProcess, output: Output): Promise<string> {
  const closed = new Promise<void>((done) => child.once('close', () => done()))
  const [code, signal] = await new Promise<readonly [number | null, NodeJS.Signals | null]>((done) => {
    child.once('exit', (...exit) => done(exit))
    child.once('error', () => done([null, null])) // could not be started: reported by startChild
  })
  // Not 'close' alone: a process of another group may have inherited the pipe and keep it open.
  const waiting = new AbortController()
  await Promise.race([closed, sleep(LAST_OUTPUT_MS, { signal: waiting.signal }).catch(() => undefined)])
  waiting.abort()
  output.flush()
  const words = output.lastWords()
  return `${signal === null ? `exit code ${String(code)}` : `ended by ${signal}`}${words === undefined ? '' : `: ${words}`}`
}
