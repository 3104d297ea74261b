import { Background } from '#pkg/component/cluster/background.ts'
import type { Component, StartContext } from '#pkg/component/component.ts'
import { type StoreServes, storeSickness } from '#pkg/component/controller/store-answers.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** What decides whether an API server steps aside. */
export interface StepAsideDeps {
  readonly storeServes: StoreServes
  /** Whether there are other controllers. While there are none nothing is asked. */
  readonly hasOthers: () => boolean
  /** Resolves when another controller serves. @throws when none does */
  readonly anotherServes: (signal: AbortSignal) => Promise<void>
}

/** Longest answer of another controller that counts. */
const ANSWER_MS = 2_000
const LOOK_EVERY_MS = 3_000
const LOOK_AGAIN_MS = 500
/** A store that is started again, or elects a leader, is back sooner. */
const SICK_AFTER_MS = 4_000
/** So many answers in a row and the store is taken for well: a start of the API server is not for nothing. */
const WELL_AFTER = 3

/**
 * An API server that ends while its own store does not serve and another controller does: its clients, which look at TCP only, then
 * move there. When the store serves again it is started again. Without another one it goes on: some answers are better than none.
 *
 * INVARIANT: `inner` is started and stopped by start(), stop() and the background task only; stop() ends that first.
 */
export class StepAside implements Component {
  readonly name: string
  readonly after: readonly string[]
  readonly #inner: Component & { readonly restarts?: number }
  readonly #deps: StepAsideDeps
  readonly #background = new Background()
  #aside: string | undefined

  constructor(inner: Component & { readonly restarts?: number }, deps: StepAsideDeps) {
    this.name = inner.name
    this.after = inner.after
    this.#inner = inner
    this.#deps = deps
  }

  /** It has stepped aside, or is about to: there is nothing that its end should wait for. */
  get isAside(): boolean {
    return this.#aside !== undefined
  }

  /** How often the process of `inner` was started again. */
  get restarts(): number | undefined {
    return this.#inner.restarts
  }

  async start(context: StartContext): Promise<void> {
    this.#aside = undefined
    await this.#inner.start(context)
    this.#background.begin((signal) => this.#watch({ ...context, signal }))
  }

  async ready(signal: AbortSignal): Promise<void> {
    if (this.#aside !== undefined) throw new Error(`stepped aside, another controller serves: ${this.#aside}`)
    await this.#inner.ready(signal)
  }

  async stop(): Promise<void> {
    await this.#background.stop()
    await this.#inner.stop()
  }

  async #watch(context: StartContext): Promise<void> {
    const { signal } = context
    let sickSince: number | undefined
    let wellCount = 0
    for (;;) {
      await sleep(sickSince === undefined && this.#aside === undefined ? LOOK_EVERY_MS : LOOK_AGAIN_MS, { signal })
      if (this.#aside === undefined && !this.#deps.hasOthers()) continue
      const reason = await storeSickness(this.#deps.storeServes, signal)
      wellCount = reason === undefined ? wellCount + 1 : 0
      if (this.#aside !== undefined) {
        if (wellCount >= WELL_AFTER) await this.#comeBack(context)
        continue
      }
      // While clients have nowhere to go it does not count: when links come back, so does the store, a moment after other controllers.
      if (reason === undefined || !(await this.#anotherServes(signal))) {
        sickSince = undefined
        continue
      }
      sickSince ??= performance.now()
      if (performance.now() - sickSince < SICK_AFTER_MS) continue
      sickSince = undefined
      await this.#stepAside(reason, context)
    }
  }

  async #anotherServes(signal: AbortSignal): Promise<boolean> {
    try {
      await withDeadline(signal, ANSWER_MS, this.#deps.anotherServes)
      return true
    } catch {
      signal.throwIfAborted()
      return false
    }
  }

  async #stepAside(reason: string, { log }: StartContext): Promise<void> {
    log.warn('this API server steps aside: its store does not serve, and another controller does', { reason })
    this.#aside = reason
    await this.#inner.stop()
  }

  async #comeBack(context: StartContext): Promise<void> {
    context.log.info('the store serves again: this API server comes back')
    try {
      await this.#inner.start(context)
      this.#aside = undefined
    } catch (err) {
      context.signal.throwIfAborted()
      context.log.error('the API server cannot be started again', { err: errorMessage(err) })
    }
  }
}
