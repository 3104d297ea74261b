import { settleHeap } from '#pkg/lifecycle/settle-heap.ts'

/** Why a command that stays was ended. */
export class EndedBySignal extends Error {
  constructor(name: NodeJS.Signals) {
    super(`ended by ${name}`)
    this.name = 'EndedBySignal'
  }
}

/** What a command that stays is told by signals. */
export interface Signals {
  /** SIGTERM or SIGINT: stop in order. */
  readonly signal: AbortSignal
  /** A second one: for what can be cut short without leaving anything behind. */
  readonly now: AbortSignal
  /** Calls `listener` at each SIGHUP until the result is called, instead of `unheardHangup`. */
  readonly onHangup: (listener: () => void) => () => void
}

/** What a command that stays does with signals beside ending. */
export interface SignalOptions {
  /**
   * Called at a SIGHUP that nobody listens for; a terminal that was closed means SIGTERM instead. Without it SIGHUP ends the process,
   * as the system has it.
   */
  readonly unheardHangup?: () => void
}

/** Runs something that stays until SIGTERM or SIGINT. */
export async function untilSignal(
  run: (signals: Signals) => Promise<void>,
  { unheardHangup }: SignalOptions = {},
): Promise<void> {
  const ending = new AbortController()
  const now = new AbortController()
  const settling = settleHeap()
  const end = (name: NodeJS.Signals): void => {
    const reason = new EndedBySignal(name)
    if (ending.signal.aborted) now.abort(reason)
    else ending.abort(reason)
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  const listeners = new Set<() => void>()
  const hangup = (name: NodeJS.Signals): void => {
    if (process.stdin.isTTY) end(name)
    else if (listeners.size === 0) unheardHangup?.()
    else for (const listener of listeners) listener()
  }
  if (unheardHangup !== undefined) process.on('SIGHUP', hangup)
  const onHangup: Signals['onHangup'] = (listener) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  try {
    await run({ signal: ending.signal, now: now.signal, onHangup })
  } catch (err) {
    if (!(err instanceof EndedBySignal)) throw err
  } finally {
    settling[Symbol.dispose]()
    process.off('SIGTERM', end)
    process.off('SIGINT', end)
    process.off('SIGHUP', hangup)
  }
}
