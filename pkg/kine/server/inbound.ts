import type { Call } from '#pkg/kine/server/call.ts'
import { FrameReader } from '#pkg/kine/server/frames.ts'
import type { StreamHandler } from '#pkg/kine/server/stream-handler.ts'

/** What Inbound works with. */
export interface InboundDeps {
  readonly call: Pick<Call, 'closed' | 'finish'>
  readonly handler: StreamHandler
  /** The client may send so many bytes more. */
  readonly allow: (bytes: number) => void
}

/**
 * The reading side of a streaming call: hands messages on for as long as the handler takes them. What it does not take
 * stays here, and the client is not allowed to send more meanwhile: it can be ahead by one window of its stream.
 */
export class Inbound {
  readonly #deps: InboundDeps
  readonly #reader: FrameReader
  /** Received, and not yet allowed again. */
  #heldBytes = 0
  #ended = false
  #reading = false

  /** `maxBytes`: of one message. */
  constructor(maxBytes: number, deps: InboundDeps) {
    this.#deps = deps
    this.#reader = new FrameReader(maxBytes)
  }

  /** Bytes from the client; `ended`: no more will come. */
  push(bytes: Buffer, ended: boolean): void {
    this.#heldBytes += bytes.length
    if (!this.#deps.call.closed) this.#reader.push(bytes)
    this.#ended ||= ended
    this.read()
  }

  /** To be called when the handler takes messages again. */
  read(): void {
    const { call, handler, allow } = this.#deps
    // What a message causes to be sent may make the handler ready for the next one before it is done with this one.
    if (this.#reading) return
    this.#reading = true
    try {
      this.#handOn()
    } catch (error) {
      call.finish(error)
    } finally {
      this.#reading = false
    }
    if (!call.closed && !handler.ready) return
    allow(this.#heldBytes)
    this.#heldBytes = 0
    if (!this.#ended || call.closed) return
    this.#ended = false
    handler.onEnd()
  }

  #handOn(): void {
    const { call, handler } = this.#deps
    while (!call.closed && handler.ready) {
      const message = this.#reader.next()
      if (message === undefined) return
      handler.onMessage(message)
    }
  }
}
