import { processStat } from '#pkg/file/proc.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { StatusClient } from '#pkg/status/client.ts'
import { NoAnswerError, NotRunningError, StatusTimeoutError } from '#pkg/status/errors.ts'
import type { ComponentSummary, StatusInfo } from '#pkg/status/types.ts'

/** How to wait. */
export interface WaitOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  /** Told one line whenever what is waited for changes. */
  readonly onProgress?: (line: string) => void
}

const POLL_MS = 200

/**
 * Waits until every component of the node is ready. A node that is not running yet is waited for, too.
 *
 * @throws StatusTimeoutError with what is still missing and why.
 */
export async function waitReady(client: StatusClient, options: WaitOptions): Promise<StatusInfo> {
  return wait(options, 'the node is not ready', async () => {
    try {
      const status = await client.get(options.signal ? { signal: options.signal } : {})
      return isReady(status) ? { done: true, value: status } : { done: false, line: describeMissing(status.Components) }
    } catch (err) {
      // A machine that is busy with the start of everything else may let it answer late.
      if (err instanceof NoAnswerError) return { done: false, line: err.message }
      if (!(err instanceof NotRunningError)) throw err
      return { done: false, line: `k0s is not running yet (${client.socketPath})` }
    }
  })
}

/**
 * Asks the supervisor to stop and waits until its process is gone.
 *
 * @throws NotRunningError when it does not run; StatusTimeoutError with what still stops.
 */
export async function stopAndWait(client: StatusClient, options: WaitOptions): Promise<void> {
  const { pid } = await client.stop(options.signal ? { signal: options.signal } : {})
  const startTime = processStat(pid)?.startTime
  const stops = `process ${pid} has not stopped`
  await wait(options, stops, async () => {
    const stat = processStat(pid)
    if (stat === undefined || stat.startTime !== startTime || stat.state === 'Z')
      return { done: true, value: undefined }
    const line = await client.get().then(
      ({ Components }) => describeStopping(Components),
      () => 'the last of it is stopping',
    )
    return { done: false, line }
  })
}

/** Whether every component is ready. */
export function isReady({ Components }: Pick<StatusInfo, 'Components'>): boolean {
  return Components.length > 0 && Components.every(({ state }) => state === 'ready')
}

/** `7 of 12 ready; kubelet: connection refused; kube-proxy waits for kubelet` */
export function describeMissing(components: readonly ComponentSummary[]): string {
  const missing = components.filter(({ state }) => state !== 'ready')
  const running = missing.filter(({ state }) => state !== 'waiting').map(describeOne)
  const waiting = missing.filter(({ state }) => state === 'waiting').map(describeOne)
  return [`${components.length - missing.length} of ${components.length} ready`, ...running, ...waiting].join('; ')
}

function describeOne({ name, state, reason, waitingFor }: ComponentSummary): string {
  if (state === 'waiting' && waitingFor.length > 0) return `${name} waits for ${waitingFor.join(', ')}`
  return reason === undefined ? `${name} is ${state}` : `${name}: ${reason}`
}

function describeStopping(components: readonly ComponentSummary[]): string {
  const left = components.filter(({ state }) => state !== 'stopped').map(({ name }) => name)
  return left.length === 0 ? 'the last of it is stopping' : `stopping: ${left.join(', ')}`
}

type Step<T> = { readonly done: true; readonly value: T } | { readonly done: false; readonly line: string }

async function wait<T>(options: WaitOptions, what: string, step: () => Promise<Step<T>>): Promise<T> {
  const deadline = performance.now() + options.timeoutMs
  let shown: string | undefined
  for (;;) {
    const result = await step()
    if (result.done) return result.value
    if (result.line !== shown) options.onProgress?.(result.line)
    shown = result.line
    if (performance.now() >= deadline) {
      throw new StatusTimeoutError(`${what} after ${options.timeoutMs / 1000} s: ${result.line}`)
    }
    await sleep(POLL_MS, options.signal ? { signal: options.signal } : {})
  }
}
