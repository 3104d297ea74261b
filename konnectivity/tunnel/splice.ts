import type { Duplex } from 'node:stream'
import { withoutStack } from '#pkg/errors/without-stack.ts'

/** How two ends are joined. */
export interface SpliceOptions {
  /** After one end has finished and its last byte was delivered, the other has this long without sending a byte. */
  readonly lingerMs: number
  /** Bytes from `back` wait until `front` has sent one, at most this many milliseconds. Default 0. */
  readonly holdBackMs?: number
}

/** Totals of a spliced connection, live. */
export interface SpliceCounters {
  /** Bytes taken from `front` and written to `back`. */
  forward: number
  /** Bytes taken from `back` and written to `front`. */
  backward: number
  /** `performance.now()` of the last byte in either direction. */
  lastActiveAt: number
}

/** Default of `SpliceOptions.lingerMs`. */
export const LINGER_MS = 5_000

/** After one end has finished, bytes for a sink that takes none are kept this long: `kubectl logs | less` may pause. */
const STALL_MS = 3_600_000

/** A source is paused once this many of its bytes wait in the sink; it goes on when they are gone. */
const PAUSE_ABOVE_BYTES = 256 * 1024

/** Chunks from this size on wait for those that are read with them. */
const GATHER_FROM_BYTES = 4 * 1024

/**
 * Copies between two duplex streams until both are done. INVARIANTS:
 * - a source is read no faster than its sink takes it, and a blocked direction does not hold up the other;
 * - every byte read before the source's end is delivered before the sink is closed, however slowly it is taken;
 * - an end that fails or vanishes without its end-of-stream tears the other down at once;
 * - when the splice resolves, both are destroyed and no listener or timer of it is left.
 */
export class Splice {
  readonly counters: SpliceCounters = { forward: 0, backward: 0, lastActiveAt: performance.now() }
  /** Resolves when both ends are closed; never rejects. The error is what ended it early, if anything did. */
  readonly closed: Promise<Error | undefined>
  readonly #front: Duplex
  readonly #back: Duplex
  readonly #options: SpliceOptions
  #timer: NodeJS.Timeout | undefined
  #holdTimer: NodeJS.Timeout | undefined
  #error: Error | undefined
  #undelivered = 0
  #stalledMs = 0
  #open = 2
  #resolve: (error: Error | undefined) => void = () => undefined

  constructor(front: Duplex, back: Duplex, options: SpliceOptions) {
    this.#front = front
    this.#back = back
    this.#options = options
    this.closed = new Promise((resolve) => (this.#resolve = resolve))
    this.#watch(front, back)
    this.#watch(back, front)
    this.#copy(front, back, 'forward')
    if (options.holdBackMs === undefined || options.holdBackMs === 0) this.#copy(back, front, 'backward')
    else this.#holdBack(options.holdBackMs)
  }

  /** Bytes taken from one end that the other has not taken yet. */
  get undeliveredBytes(): number {
    return undeliveredBytes(this.#front) + undeliveredBytes(this.#back)
  }

  /** Which end is not read now because the other one does not take what it sent. */
  get blocked(): { readonly front: boolean; readonly back: boolean } {
    return { front: isBlocked(this.#front), back: isBlocked(this.#back) }
  }

  /** Ends the connection without waiting for what is still queued. */
  destroy(error?: Error): void {
    this.#error ??= error
    // An HTTP/2 stream that is destroyed without an error looks to its peer like a regular end.
    this.#front.destroy(error)
    this.#back.destroy(error)
  }

  #copy(source: Duplex, sink: Duplex, direction: 'forward' | 'backward'): void {
    source.on('data', (chunk: Buffer) => {
      this.counters[direction] += chunk.length
      this.counters.lastActiveAt = performance.now()
      // A sink that is gone takes no bytes, but reading goes on so that closing does not turn into a reset.
      if (sink.writableEnded || sink.destroyed) return
      this.#timer?.refresh()
      if (chunk.length >= GATHER_FROM_BYTES) gather(sink)
      if (!sink.write(chunk) && sink.writableLength > PAUSE_ABOVE_BYTES) source.pause()
    })
    sink.on('drain', () => source.resume())
    source.on('end', () => sink.end())
    // The end may have come before the splice was made.
    if (source.readableEnded) sink.end()
    // A listener does not start a stream that was paused explicitly.
    source.resume()
  }

  /** kube-apiserver's CONNECT client fails when bytes follow the reply's header block in one read. */
  #holdBack(ms: number): void {
    const release = (): void => {
      clearTimeout(this.#holdTimer)
      this.#front.off('data', release)
      this.#front.off('end', release)
      if (this.#holdTimer === undefined) return
      this.#holdTimer = undefined
      this.#copy(this.#back, this.#front, 'backward')
    }
    this.#holdTimer = setTimeout(release, ms)
    this.#front.on('data', release)
    this.#front.on('end', release)
  }

  #watch(end: Duplex, other: Duplex): void {
    end.on('error', (error: Error) => (this.#error ??= error))
    end.on('finish', () => {
      if (!end.readableEnded) this.#linger()
    })
    if (end.destroyed) queueMicrotask(() => this.#onClose(end, other))
    else end.once('close', () => this.#onClose(end, other))
  }

  #onClose(end: Duplex, other: Duplex): void {
    this.#open -= 1
    if (this.#open === 0) {
      clearTimeout(this.#timer)
      clearTimeout(this.#holdTimer)
      this.#resolve(this.#error)
      return
    }
    // 'end' was emitted, so all that was read has been written to `other`, which now flushes and goes too.
    // With an error, so that an HTTP/2 stream is reset: without one its peer would read a regular end.
    if (!end.readableEnded || this.#error !== undefined) {
      other.destroy(this.#error ?? withoutStack(() => new Error('other end vanished')))
    } else this.#linger()
    other.resume()
  }

  /** One direction is complete: the other may use the connection until it has been silent for `lingerMs`. */
  #linger(): void {
    this.#timer ??= setTimeout(() => this.#onSilence(), this.#options.lingerMs)
  }

  /** Silence of a source that is paused because its sink is slow is none, as long as the sink takes anything. */
  #onSilence(): void {
    const undelivered = this.undeliveredBytes
    this.#stalledMs = undelivered === this.#undelivered ? this.#stalledMs + this.#options.lingerMs : 0
    this.#undelivered = undelivered
    if (undelivered === 0 || this.#stalledMs >= STALL_MS) this.destroy()
    else this.#timer?.refresh()
  }
}

/** What is read in one turn of the event loop leaves in one write: TLS gives out records of 16 KiB and less. */
function gather(sink: Duplex): void {
  if (sink.writableCorked > 0) return
  sink.cork()
  setImmediate(() => sink.uncork())
}

function isBlocked(end: Duplex): boolean {
  return end.isPaused() && !end.destroyed
}

function undeliveredBytes(end: Duplex): number {
  return end.destroyed ? 0 : end.writableLength
}
