import type { ComponentManager } from '#pkg/component/manager/manager.ts'
import { aborted } from '#pkg/lifecycle/aborted.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { startStatusServer } from '#pkg/status/server.ts'

/** What the two roles differ in once their graph is there. */
interface RunningRole {
  readonly manager: ComponentManager
  readonly statusSocket: string
  readonly status: Parameters<typeof startStatusServer>[1]['status']
  /** Logged once everything is ready. */
  readonly readyMessage: string
  readonly nodeName: string
}

/**
 * Runs the components of a role, answering on the status socket from the beginning, until `signal` aborts or somebody
 * asks on that socket; then stops them in reverse order.
 *
 * @throws what kept the components from starting, unless the stop did
 */
export async function runUntilStopped(
  { manager, statusSocket, status, readyMessage, nodeName }: RunningRole,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const stopping = new AbortController()
  const stop = (): void => stopping.abort(signal.reason ?? new Error('asked to stop'))
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const provider = { status, components: () => manager.status(), stop }
  await using held = new AsyncDisposableStack()
  held.use(await startStatusServer({ socketPath: statusSocket }, provider, { log }))
  const failure = await run(manager, stopping.signal, () => log.info(readyMessage, { node: nodeName }))
  signal.removeEventListener('abort', stop)
  try {
    await manager.stop()
  } catch (err) {
    if (failure === undefined) throw err
    // Why the node did not start matters more than what of it does not end.
    log.error('not everything has stopped', { err })
  }
  if (failure !== undefined) throw failure.cause
}

/** Until `signal` aborts; what kept the components from starting, unless that did. */
async function run(
  manager: ComponentManager,
  signal: AbortSignal,
  onReady: () => void,
): Promise<{ readonly cause: unknown } | undefined> {
  try {
    await manager.start(signal)
    onReady()
    await aborted(signal)
    return undefined
  } catch (cause) {
    return signal.aborted ? undefined : { cause }
  }
}
