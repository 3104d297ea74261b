import { settleHeap } from '#pkg/lifecycle/settle-heap.ts'

/** Why a command that stays was ended. */
export class EndedBySignal extends Error {
  constructor(name: NodeJS.Signals) {
    super(`ended by ${name}`)
    this.name = 'EndedBySignal'
  }
}

/**
 * Runs something that stays until SIGTERM or SIGINT; `run` stops in order when its signal aborts. A second signal aborts
 * `now`, for what can be cut short without leaving anything behind; others do not look at it.
 */
export async function untilSignal(run: (signal: AbortSignal, now: AbortSignal) => Promise<void>): Promise<void> {
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
    await run(ending.signal, now.signal)
  } catch (err) {
    if (!(err instanceof EndedBySignal)) throw err
  } finally {
    settling[Symbol.dispose]()
    process.off('SIGTERM', end)
    process.off('SIGINT', end)
  }
}
