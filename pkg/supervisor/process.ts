import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { startChild, type Child } from '#pkg/supervisor/child.ts'
import { endOrphans } from '#pkg/supervisor/orphan.ts'
import { ProcessReplaceError } from '#pkg/supervisor/errors.ts'
import { Output } from '#pkg/supervisor/output.ts'
import { writePidFile } from '#pkg/supervisor/pid-file.ts'
import type { ProcessSpec } from '#pkg/supervisor/spec.ts'

export type { ProcessSpec } from '#pkg/supervisor/spec.ts'

/** Keeps one process running. All methods may be called at any time; they take effect one after the other. */
export interface SupervisedProcess {
  /**
   * Ends what a killed supervisor left of this process, then starts it. No effect while it runs.
   *
   * @throws ProcessStartError when the first start fails; later failures are logged and retried.
   */
  start(): Promise<void>
  /** Idempotent; when it resolves nothing of the process runs. @throws ProcessStopError */
  stop(): Promise<void>
  /** Stops the process with its grace time and starts it again at once. @throws ProcessStartError, and goes on trying. */
  restart(): Promise<void>
  /**
   * As restart(), for a program whose successor takes over while it runs and that then ends by itself: the new process is
   * started first, and the old one ended only if it is still there after `replaceTimeoutMs`. Resolves when it is gone. No
   * effect unless started.
   *
   * @throws ProcessStartError, ProcessReplaceError: the old one goes on.
   */
  replace(): Promise<void>
  /** Undefined while none runs. */
  readonly pid: number | undefined
  /** How often it was started again after it had ended by itself. */
  readonly restarts: number
  /**
   * How many runs in a row ended by themselves within a minute; 0 once a run lasts longer. Absent: not counted, taken
   * for `restarts`.
   */
  readonly failures?: number
  /** How it last ended by itself, with the line of its output that says most; undefined when it never did. */
  readonly lastExit: string | undefined
}

/** Makes a supervised process, not yet started. */
export type Supervise = (spec: ProcessSpec, deps: { readonly log: Logger }) => SupervisedProcess

/** A run this long forgives earlier crashes. */
const HEALTHY_RUN_MS = 60_000
/** The first respawn is fast, since most exits are single events; a crash loop soon costs next to nothing. */
const respawnDelay = { initialMs: 250, maxMs: 30_000 } as const

export const supervise: Supervise = (spec, deps) => new Supervised(spec, deps)

const REPLACE_TIMEOUT_MS = 60_000
/** Why a run is ended whose child goes on. */
const LET_GO = new Error('the child goes on')

/** One life from start() to stop(). */
interface Run {
  readonly stopping: AbortController
  readonly loop: Promise<void>
}

/**
 * INVARIANTS: at most one #run; only its loop starts, watches and ends children, one at a time, so a respawn can never
 * overtake a stop; replace() alone has two for a while, and no loop then; start(), stop() and restart() only begin and end runs, one after the other through #exclusive.
 */
class Supervised implements SupervisedProcess {
  readonly #spec: ProcessSpec
  readonly #log: Logger
  readonly #output: Output
  #run: Run | undefined
  #replacing: AbortController | undefined
  #child: Child | undefined
  #last: Promise<void> = Promise.resolve()
  #restarts = 0
  #failures = 0
  #startedAt = 0
  #lastExit: string | undefined

  constructor(spec: ProcessSpec, { log }: { readonly log: Logger }) {
    this.#spec = spec
    this.#log = log.child({ component: spec.name })
    this.#output = new Output(this.#log)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get restarts(): number {
    return this.#restarts
  }

  get failures(): number {
    return this.#child && performance.now() - this.#startedAt > HEALTHY_RUN_MS ? 0 : this.#failures
  }

  get lastExit(): string | undefined {
    return this.#lastExit
  }

  start(): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#run) return
      await endOrphans(this.#spec, { log: this.#log })
      this.#begin(await this.#spawn())
    })
  }

  stop(): Promise<void> {
    this.#replacing?.abort(new Error('the process is to stop'))
    return this.#exclusive(() => this.#end())
  }

  restart(): Promise<void> {
    return this.#exclusive(() => this.#restart())
  }

  async #restart(): Promise<void> {
    await this.#end()
    try {
      this.#begin(await this.#spawn())
    } catch (err) {
      this.#begin(undefined)
      throw err
    }
  }

  replace(): Promise<void> {
    return this.#exclusive(async () => {
      if (!this.#run) return
      const old = this.#child
      if (!old) return this.#restart()
      await this.#letGo()
      try {
        this.#begin(await this.#successorOf(old))
      } catch (err) {
        writePidFile(this.#spec.pidFile, old.pid)
        this.#begin(old)
        throw err
      }
    })
  }

  #exclusive(step: () => Promise<void>): Promise<void> {
    const done = this.#last.then(step)
    this.#last = done.catch(() => undefined) // the caller has the failure; the next step runs all the same
    return done
  }

  #begin(child: Child | undefined): void {
    const stopping = new AbortController()
    this.#run = { stopping, loop: this.#supervise(child, stopping.signal) }
  }

  async #end(): Promise<void> {
    const run = this.#run
    this.#run = undefined
    run?.stopping.abort()
    await run?.loop
  }

  /** Ends the run but not its child. */
  async #letGo(): Promise<void> {
    const run = this.#run
    this.#run = undefined
    run?.stopping.abort(LET_GO)
    await run?.loop
  }

  /** Starts a process beside `old` and returns it when `old` is gone. @throws when the new one ends first */
  async #successorOf(old: Child): Promise<Child> {
    const { name, replaceTimeoutMs = REPLACE_TIMEOUT_MS } = this.#spec
    const next = await startChild(this.#spec, this.#output)
    this.#log.info('process started, to replace the one that runs', { pid: next.pid, replaces: old.pid })
    const replacing = new AbortController()
    this.#replacing = replacing
    const over = sleep(replaceTimeoutMs, { signal: replacing.signal }).catch(() => undefined)
    const failed = await Promise.race([next.exited, old.exited.then(() => undefined), over.then(() => undefined)])
    replacing.abort()
    this.#replacing = undefined
    if (failed !== undefined) {
      await next.cleanUp()
      throw new ProcessReplaceError(name, failed)
    }
    await this.#endGracefully(old)
    this.#child = next
    this.#startedAt = performance.now()
    return next
  }

  async #supervise(first: Child | undefined, signal: AbortSignal): Promise<void> {
    const stopped = (): boolean => signal.aborted // a call: a read would stay narrowed across awaits
    let child = first
    this.#failures = 0
    for (;;) {
      const exit = child && (await exitOrAbort(child, signal))
      if (stopped()) return signal.reason === LET_GO ? undefined : this.#endChild(child)
      const respawnInMs = backoffMs(this.failures, respawnDelay)
      this.#failures = this.failures + 1
      if (exit !== undefined) {
        this.#lastExit = exit
        this.#log.warn('process ended', { pid: child?.pid, exit, respawnInMs })
      }
      await child?.cleanUp().catch((err: unknown) => this.#log.error('cannot clean up after the process', { err }))
      this.#child = undefined
      await sleep(respawnInMs, { signal }).catch(() => undefined)
      if (stopped()) return
      child = await this.#respawn()
    }
  }

  #stopGraceMs(): number {
    return this.#spec.stopGraceNowMs?.() ?? this.#spec.stopGraceMs
  }

  async #endChild(child: Child | undefined): Promise<void> {
    if (child !== undefined) await this.#endGracefully(child)
    this.#child = undefined
  }

  /** With its grace time, as long as it waits for something. */
  async #endGracefully(child: Child): Promise<void> {
    const ended = new AbortController()
    const inVain = new AbortController()
    const cut = (reason: string): void => {
      if (ended.signal.aborted) return
      this.#log.warn('not waiting any longer for the process to end by itself', { pid: child.pid, reason })
      inVain.abort()
    }
    const asking = this.#spec.untilInVain?.(ended.signal).then(cut, () => undefined)
    try {
      await child.end(this.#stopGraceMs(), inVain.signal)
    } finally {
      ended.abort()
      await asking
    }
  }

  /** Like #spawn, but a failure is logged and counts as one more crash. */
  async #respawn(): Promise<Child | undefined> {
    this.#restarts += 1
    try {
      return await this.#spawn()
    } catch (err) {
      this.#log.error('cannot start the process again', { err })
      this.#lastExit = err instanceof Error ? err.message : String(err)
      return undefined
    }
  }

  async #spawn(): Promise<Child> {
    const { name, path, args } = this.#spec
    this.#child = await startChild(this.#spec, this.#output)
    this.#startedAt = performance.now()
    this.#log.info('process started', { pid: this.#child.pid })
    this.#log.debug('command line', { name, path, args })
    return this.#child
  }
}

/** How the child ended by itself, or undefined when `signal` aborted first. */
async function exitOrAbort(child: Child, signal: AbortSignal): Promise<string | undefined> {
  if (signal.aborted) return undefined
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>()
  const abort = (): void => resolve(undefined)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([child.exited, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
