import type { Logger } from '#pkg/log/logger.ts'

/** What a component warns of while it serves: each is logged once when it begins and once when it is over. */
export class Warnings {
  readonly #texts = new Map<string, string>()

  /** Takes note that `kind` is so now; undefined: it is over. The text may change while the warning stands. */
  set(kind: string, text: string | undefined, log: Logger): void {
    const before = this.#texts.get(kind)
    if (text === undefined) {
      this.#texts.delete(kind)
      if (before !== undefined) log.info(`over: ${before}`)
      return
    }
    this.#texts.set(kind, text)
    if (before === undefined) log.warn(text)
  }

  /** Those that stand, oldest first. */
  list(): readonly string[] {
    return [...this.#texts.values()]
  }

  clear(): void {
    this.#texts.clear()
  }
}
