/** One long task with a beginning and an end: what start() begins and stop() ends. */
export class Background {
  #stopping = new AbortController()
  #running: Promise<void> | undefined

  /** Begins `task`; it ends when its signal aborts. Legal again after `stop()`. */
  begin(task: (signal: AbortSignal) => Promise<void>): void {
    if (this.#running !== undefined) throw new Error('the task runs already')
    this.#stopping = new AbortController()
    this.#running = task(this.#stopping.signal)
    // stop() reports nothing: a task logs its own failures; here only an unhandled rejection is prevented.
    this.#running.catch(() => undefined)
  }

  /** Resolves once the task has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'))
    await this.#running?.catch(() => undefined)
    this.#running = undefined
  }
}
