import type { Component } from '#pkg/component/component.ts'
import { ComponentFailedError, ComponentNotReadyError } from '#pkg/component/manager/errors.ts'
import type { StateRecord } from '#pkg/component/manager/state.ts'
import { probeOnce, reasonOf } from '#pkg/component/prober/prober.ts'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** A component with its record. */
export interface Managed {
  readonly component: Component
  readonly record: StateRecord
}

/** How a start goes. */
export interface StartOptions {
  /** Cancels the start, not what was started. */
  readonly signal: AbortSignal
  readonly log: Logger
  /** Longest time between the start of one component and its first ready probe, milliseconds. */
  readonly readyTimeoutMs: number
  /** Called once for each component that became ready. */
  readonly onReady: (managed: Managed) => void
}

/** How long a start that is cut off is waited for, milliseconds. */
const CUT_OFF_GRACE_MS = 5_000

/**
 * Starts each component as soon as all it is `after` are ready, in parallel. After the first failure nothing new
 * starts; the caller stops what was begun. The graph has been checked and `all` is in dependency order.
 *
 * @throws the first failure, once nothing is being started any more.
 */
export async function startAll(all: readonly Managed[], options: StartOptions): Promise<void> {
  const failure = new AbortController()
  const starting = new Map<string, Promise<void>>()
  const abort = (): void => failure.abort(options.signal.reason)
  options.signal.addEventListener('abort', abort, { once: true })
  if (options.signal.aborted) abort()
  try {
    for (const managed of all) {
      const needs = managed.component.after.flatMap((name) => starting.get(name) ?? [])
      const started = startOne(managed, needs, { ...options, signal: failure.signal })
      // The first reason stays in the signal; every later failure is its echo.
      starting.set(managed.component.name, started)
      started.catch((err: unknown) => failure.abort(err))
    }
    await Promise.allSettled(starting.values())
    failure.signal.throwIfAborted()
  } finally {
    options.signal.removeEventListener('abort', abort)
  }
}

async function startOne(managed: Managed, needs: readonly Promise<void>[], options: StartOptions): Promise<void> {
  const { component, record } = managed
  const { signal, log } = options
  await Promise.all(needs)
  signal.throwIfAborted()
  const startedAt = performance.now()
  record.transition('starting')
  try {
    await endSoonAfterAbort(component.start({ signal, log: log.child({ component: component.name }) }), signal)
    record.transition('not-ready', 'not probed yet')
    await untilReady(managed, startedAt, options)
  } catch (err) {
    if (signal.aborted) throw err // cut off: it did not fail by itself
    record.transition('failed', errorMessage(err))
    throw err instanceof ComponentNotReadyError ? err : new ComponentFailedError(component.name, { cause: err })
  }
  record.transition('ready')
  record.probed(undefined)
  log.info('component ready', { component: component.name, durationMs: Math.round(performance.now() - startedAt) })
  options.onReady(managed)
}

async function untilReady({ component, record }: Managed, startedAt: number, options: StartOptions): Promise<void> {
  const { signal, readyTimeoutMs } = options
  for (;;) {
    const elapsedMs = performance.now() - startedAt
    const result = await probeOnce(component, { signal })
    if (result.ready) return
    signal.throwIfAborted()
    record.probed(reasonOf(result))
    if (isFinal(result.cause)) throw result.cause
    if (elapsedMs >= readyTimeoutMs) {
      throw new ComponentNotReadyError(component.name, readyTimeoutMs, { cause: result.cause })
    }
    await sleep(pollMs(elapsedMs), { signal })
  }
}

/** A start that ignores its signal must not keep the node from stopping: stop() is legal in every state. */
async function endSoonAfterAbort(start: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: givenUp, reject } = Promise.withResolvers<never>()
  let timer: NodeJS.Timeout | undefined
  const abort = (): void => {
    timer = setTimeout(() => reject(signal.reason as Error), CUT_OFF_GRACE_MS)
  }
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    await Promise.race([start, givenUp])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

/** Often while most components become ready, then seldom enough to leave the processors to those that are slow. */
function pollMs(elapsedMs: number): number {
  if (elapsedMs < 5_000) return 50
  return elapsedMs < 20_000 ? 100 : 500
}

/** Waiting longer cannot help. */
function isFinal(cause: unknown): cause is K0sError {
  return cause instanceof K0sError && cause.code === 'ERR_PROCESS_CRASH_LOOP'
}
