import { Duplex } from 'node:stream'
import type { Histogram } from '#konnectivity/tunnel/metrics.ts'
import type { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'

/**
 * One connection of a frontend that speaks packets. Its stream carries nothing else, so HTTP/2's own window slows the
 * client down. INVARIANTS: CLOSE_RSP is sent exactly once, after all DATA; an empty DATA never is (Go clients read it
 * as the end).
 */
export class GrpcConnection extends Duplex {
  readonly connectId: number
  readonly #stream: PacketStream
  readonly #writes: Histogram
  #closeSent = false
  #closeReceived = false

  constructor(options: { readonly connectId: number }, stream: PacketStream, writes: Histogram) {
    super({ allowHalfOpen: true, readableHighWaterMark: 256 * 1024, writableHighWaterMark: 64 * 1024 })
    this.connectId = options.connectId
    this.#stream = stream
    this.#writes = writes
  }

  /** Payload from the client. */
  receive(data: Buffer): void {
    if (data.length === 0 || this.#closeReceived || this.#closeSent || this.destroyed) return
    if (!this.push(data)) this.#stream.pause()
  }

  /** The client sent CLOSE_REQ: answered at once, what it sent before is still delivered to the endpoint. */
  receiveClose(): void {
    if (this.#closeReceived || this.destroyed) return
    this.#closeReceived = true
    this.#sendClose('')
    this.once('end', () => this.destroy())
    this.push(null)
  }

  /** The client is done; what it sent before may still be on its way to the endpoint. */
  get closeReceived(): boolean {
    return this.#closeReceived
  }

  override _read(): void {
    this.#stream.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#closeSent) {
      done()
      return
    }
    const startedAt = performance.now()
    this.#stream.sendData(this.connectId, chunk, (error) => {
      this.#writes.observe((performance.now() - startedAt) / 1000)
      done(error)
    })
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#sendClose('')
    // The protocol has no half-close: with CLOSE_RSP the client is done in both directions.
    if (!this.#closeReceived) this.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#sendClose(error?.message ?? '')
    this.#stream.end()
    done(error)
  }

  #sendClose(error: string): void {
    if (this.#closeSent) return
    this.#closeSent = true
    this.#stream.send({ type: 'closeResponse', connectId: this.connectId, error })
  }
}
