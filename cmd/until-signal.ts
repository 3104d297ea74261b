import { settleHeap } from '#pkg/lifecycle/settle-heap.ts'

/** Why a command that stays was ended. */
export class EndedBySignal extends Error {
  constructor(name: NodeJS.Signals) {
    super(`ended by ${name}`)
    this.name = 'EndedBySignal'
  }
}

/**
 * Runs something that stays until SIGTERM or SIGINT; `run` stops in order when its signal aborts. A second signal does
 * not shorten that: what is cut short leaves children behind.
 */
export async function untilSignal(run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const ending = new AbortController()
  const settling = settleHeap()
  const end = (name: NodeJS.Signals): void => ending.abort(new EndedBySignal(name))
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  try {
    await run(ending.signal)
  } catch (err) {
    if (!(err instanceof EndedBySignal)) throw err
  } finally {
    settling[Symbol.dispose]()
    process.off('SIGTERM', end)
    process.off('SIGINT', end)
  }
}
