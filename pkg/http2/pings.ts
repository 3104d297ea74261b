import type { FrameWriter } from '#pkg/http2/frame-writer.ts'

/** Bytes of every PING (RFC 9113, 6.7). */
export const PING_BYTES = 8
const PAYLOAD: Buffer = Buffer.alloc(PING_BYTES)
/** A peer that answers none makes no queue of them. */
const MAX_PINGS = 16

/** Round trips that are being measured; PINGs are answered in order. */
export class Pings {
  readonly #writer: FrameWriter
  readonly #waiting: (() => void)[] = []

  constructor(deps: { readonly writer: FrameWriter }) {
    this.#writer = deps.writer
  }

  /** Sends one; `onAnswer` gets the round trip, milliseconds. False when several are without an answer. */
  send(onAnswer: (durationMs: number) => void): boolean {
    if (this.#waiting.length >= MAX_PINGS) return false
    const sentAt = performance.now()
    this.#waiting.push(() => onAnswer(performance.now() - sentAt))
    this.#writer.ping(PAYLOAD)
    return true
  }

  /** The oldest was answered. */
  answered(): void {
    this.#waiting.shift()?.()
  }

  /** No answer will come. */
  forget(): void {
    this.#waiting.length = 0
  }
}
