import { sleep } from '#pkg/lifecycle/sleep.ts'
import { findingOf, type Finding, type HealthProbe } from '#pkg/nllb/health.ts'

/**
 * Pause between two questions, milliseconds, before jitter. Of one that is ready every other question is only whether it is still there:
 * with the second that an answer may take, it is left after less than 2 s when nothing answers, after less than 3 s when it is not ready.
 */
const INTERVAL_MS = 900
/** Share of the pause by which it is longer or shorter, so that many nodes do not ask at the same time. */
const JITTER = 0.1

/** Asks one backend for its health as long as it is watched. */
export class HealthWatch {
  readonly #probe: HealthProbe
  readonly #onFinding: (finding: Finding, askedAt: number) => void
  readonly #stopping = new AbortController()
  #loop: Promise<void> | undefined
  #pause: AbortController | undefined
  #isHurried = false

  /** `onFinding` also gets when the question was asked, of performance.now(). */
  constructor(probe: HealthProbe, onFinding: (finding: Finding, askedAt: number) => void) {
    this.#probe = probe
    this.#onFinding = onFinding
  }

  /** Asks at once, and then from time to time. */
  start(): void {
    this.#loop ??= this.#run(this.#stopping.signal)
  }

  /** Asks again as soon as the question that is under way, if any, is answered. */
  hurry(): void {
    this.#isHurried = true
    this.#pause?.abort()
  }

  /** Resolves once nothing is asked any more. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('nobody wants to know'))
    this.#pause?.abort()
    await this.#loop
    this.#probe.close()
  }

  async #run(signal: AbortSignal): Promise<void> {
    const isStopped = (): boolean => signal.aborted
    let wasReady = false
    while (!isStopped()) {
      const isLight: boolean = wasReady && !this.#isHurried
      this.#isHurried = false
      const askedAt = performance.now()
      const finding: Finding | undefined = await (
        isLight ? this.#probe.isThere(signal) : this.#probe.ask(signal)
      ).catch(findingOf)
      if (isStopped()) return
      if (finding !== undefined) this.#onFinding(finding, askedAt)
      wasReady = finding?.health === 'ready'
      await this.#rest()
    }
  }

  /** Resolves early when there is a reason to hurry, or to stop. */
  async #rest(): Promise<void> {
    if (this.#isHurried || this.#stopping.signal.aborted) return
    this.#pause = new AbortController()
    const ms = INTERVAL_MS * (1 - JITTER + 2 * JITTER * Math.random())
    await sleep(ms, { signal: this.#pause.signal }).catch(() => undefined)
    this.#pause = undefined
  }
}
