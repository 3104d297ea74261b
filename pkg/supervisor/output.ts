import type { Readable } from 'node:stream'
import type { Logger } from '#pkg/log/logger.ts'
import { lineKey, lineLevel, mostTelling } from '#pkg/supervisor/line.ts'

/** Limits of what one process may add to our log. */
export interface OutputLimits {
  /** Length of a window, milliseconds. */
  readonly windowMs: number
  /** Lines per window. The chattiest start (kube-apiserver) is below half of the default. */
  readonly linesPerWindow: number
  /** Lines per window that differ only in numbers: a flood is usually one message (k0s#4493). */
  readonly repeatsPerWindow: number
  /** Lines per window that are looked at to find that out: past it a flood costs next to nothing. */
  readonly examinedPerWindow: number
}

const defaultLimits: OutputLimits = {
  windowMs: 10_000,
  linesPerWindow: 1_000,
  repeatsPerWindow: 5,
  examinedPerWindow: 20_000,
}
/** Bytes of output kept to explain an exit. */
const TAIL_BYTES = 4_096
/** A line is cut after this many bytes. */
const MAX_LINE_BYTES = 8_192
const NEWLINE = 0x0a

/**
 * Re-logs the output of a process, one event a line with its `stream`, and keeps the end of it for error messages.
 * Output is always read, so that the process never blocks on a full pipe; what goes past the limits is counted without
 * being decoded, and summed up in one line per window.
 */
export class Output {
  readonly #log: Logger
  readonly #limits: OutputLimits
  #tail = Buffer.alloc(0)
  #windowStart = -Infinity
  #examined = 0
  #written = 0
  #left = { lines: 0, example: '' }
  readonly #seen = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(log: Logger, limits = defaultLimits) {
    this.#log = log
    this.#limits = limits
  }

  /** Starts reading a stream of the process; ends by itself with the stream. */
  attach(readable: Readable, stream: 'stdout' | 'stderr'): void {
    let partial = Buffer.alloc(0)
    readable.on('data', (chunk: Buffer) => {
      this.#keepTail(chunk)
      partial = splitLines(partial, chunk, (line) => this.#line(line, stream))
    })
    readable.on('end', () => {
      if (partial.length > 0) this.#line(partial, stream)
      partial = Buffer.alloc(0)
    })
    readable.on('error', () => undefined) // the pipe of a killed process; its exit is reported where it is awaited
  }

  /** Forgets what an earlier run said. */
  resetTail(): void {
    this.#tail = Buffer.alloc(0)
  }

  /** The line of the latest output that best explains an exit, or undefined when there was none. */
  lastWords(): string | undefined {
    return mostTelling(this.#tail.toString('utf8').split('\n'))
  }

  /** Writes what was left out so far and stops the timer. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const { lines, example } = this.#left
    if (lines > 0) this.#log.warn('output left out of the log', { lines, example })
    this.#left = { lines: 0, example: '' }
    this.#examined = 0
    this.#written = 0
    this.#seen.clear()
  }

  #line(bytes: Buffer, stream: string): void {
    if (bytes.length === 0) return
    const now = performance.now()
    if (now - this.#windowStart >= this.#limits.windowMs) {
      this.flush()
      this.#windowStart = now
    }
    this.#examined += 1
    if (this.#written >= this.#limits.linesPerWindow || this.#examined > this.#limits.examinedPerWindow) {
      this.#leaveOut('')
      return
    }
    const line = bytes.toString('utf8').trimEnd()
    const key = lineKey(line)
    const count = (this.#seen.get(key) ?? 0) + 1
    this.#seen.set(key, count)
    if (count > this.#limits.repeatsPerWindow) {
      this.#leaveOut(line)
      return
    }
    this.#written += 1
    this.#log[lineLevel(line)](line, { stream })
  }

  #leaveOut(line: string): void {
    this.#left = { lines: this.#left.lines + 1, example: this.#left.example || line }
    // The sum is also due when the process falls silent.
    this.#timer ??= setTimeout(() => this.flush(), this.#limits.windowMs).unref()
  }

  #keepTail(chunk: Buffer): void {
    this.#tail = Buffer.concat([this.#tail, chunk.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES)
  }
}

/** Calls `emit` for each whole line of `partial + chunk`; returns the rest, never more than MAX_LINE_BYTES. */
function splitLines(partial: Buffer, chunk: Buffer, emit: (line: Buffer) => void): Buffer<ArrayBuffer> {
  let start = 0
  let carry = partial
  for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
    const piece = chunk.subarray(start, end)
    emit((carry.length === 0 ? piece : Buffer.concat([carry, piece])).subarray(0, MAX_LINE_BYTES))
    carry = Buffer.alloc(0)
    start = end + 1
  }
  return Buffer.concat([carry, chunk.subarray(start)]).subarray(0, MAX_LINE_BYTES)
}
