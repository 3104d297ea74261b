/** A terminal gets one line that is rewritten this often, anything else a line of its own every `LOG_INTERVAL_MS`. */
const TERMINAL_INTERVAL_MS = 250
const LOG_INTERVAL_MS = 15_000

/** Shows which step runs, how far it is and how long the rest may take. */
export class Progress implements Disposable {
  readonly #output: NodeJS.WriteStream
  readonly #timer: NodeJS.Timeout
  #running: { readonly title: string; readonly startedAt: number; readonly coldSeconds: number } | undefined
  #news = ''

  constructor(output: NodeJS.WriteStream) {
    this.#output = output
    this.#timer = setInterval(() => this.#show(), output.isTTY ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS)
    this.#timer.unref()
  }

  /** A step begins; `coldSeconds` is what it takes when nothing is cached. */
  start(title: string, coldSeconds: number): void {
    this.#running = { title, startedAt: Date.now(), coldSeconds }
    this.#news = ''
    this.#show()
  }

  /** What the running step does now. */
  report(news: string): void {
    this.#news = news
  }

  /** The running step ended. */
  done(result: string): void {
    if (this.#running === undefined) return
    this.#clear()
    this.#output.write(`${this.#running.title}: ${result} in ${duration(Date.now() - this.#running.startedAt)}\n`)
    this.#running = undefined
  }

  /** A line of its own. */
  print(text: string): void {
    this.#clear()
    this.#output.write(`${text}\n`)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#clear()
  }

  #show(): void {
    if (this.#running === undefined) return
    const { title, startedAt, coldSeconds } = this.#running
    const estimate = `${duration(Date.now() - startedAt)} of up to ${duration(coldSeconds * 1_000)}`
    const line = `${title}: ${estimate}${this.#news === '' ? '' : `, ${this.#news}`}`
    if (this.#output.isTTY) this.#output.write(`\r\x1b[2K${line.slice(0, this.#output.columns - 1)}`)
    else this.#output.write(`${line}\n`)
  }

  #clear(): void {
    if (this.#output.isTTY && this.#running !== undefined) this.#output.write('\r\x1b[2K')
  }
}

/** `7:05`: minutes and seconds, or `0.4 s` below ten seconds. */
export function duration(milliseconds: number): string {
  if (milliseconds < 10_000) return `${(milliseconds / 1_000).toFixed(1)} s`
  const seconds = Math.round(milliseconds / 1_000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
