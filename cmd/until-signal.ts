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
  /**
   * Calls `listener` at each SIGHUP until the result is called; a terminal that was closed means SIGTERM instead. Where nobody
   * listens, SIGHUP is left as it is.
   */
  readonly onHangup: (listener: () => void) => () => void
}

/** Runs something that stays until SIGTERM or SIGINT. */
export async function untilSignal(run: (signals: Signals) => Promise<void>): Promise<void> {
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
  try {
    await run({ signal: ending.signal, now: now.signal, onHangup: (listener) => onHangup(listener, end) })
  } catch (err) {
    if (!(err instanceof EndedBySignal)) throw err
  } finally {
    settling[Symbol.dispose]()
    process.off('SIGTERM', end)
    process.off('SIGINT', end)
  }
}

function onHangup(listener: () => void, end: (name: NodeJS.Signals) => void): () => void {
  const hangup = (name: NodeJS.Signals): void => (process.stdin.isTTY ? end(name) : listener())
  process.on('SIGHUP', hangup)
  return () => process.off('SIGHUP', hangup)
}
