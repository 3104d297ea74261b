import { Duplex } from 'node:stream'
import { performance } from 'node:perf_hooks'
import type { UnreadHolder, UnreadPackets } from '#konnectivity/tunnel/buffers.ts'
import type { StreamCredit } from '#konnectivity/tunnel/stream-credit.ts'

/** The shared stream, as one connection sees it. */
export interface PacketPort {
  /** What all connections of the process may leave unread together. */
  readonly unread: UnreadPackets
  /** Makes the peer wait for readers that are behind. */
  readonly credit: StreamCredit
  /** Sends payload bytes; `done` once they are on their way: what slows this connection's source down. */
  sendData(connectId: number, payload: Buffer, done: (error?: Error | null) => void): void
  /** Tells the peer that this side is finished, after all data. Called once, unless the peer closed first. */
  sendClose(connectId: number, error: string): void
  /** The connection is gone: its id may be forgotten. */
  forget(connectId: number, error: Error | null): void
}

/** A reader that is behind by more than its share and took nothing for this long is not waited for any more. */
const STALL_MS = 5_000

/** The reader of one connection stood still, or was the slowest of too many, on a stream that others need. */
export class ReceiveQueueFullError extends Error {
  constructor(unreadBytes: number) {
    super(`connection reset: its reader left ${unreadBytes} bytes unread on a stream that is shared with others`)
    this.name = 'ReceiveQueueFullError'
  }
}

/**
 * One connection on a stream shared by all of an agent: the fallback towards upstream peers, whose protocol has no flow
 * control. A reader that is far behind slows the stream down (see StreamCredit) as long as it takes something.
 *
 * INVARIANTS: the shared stream never stops for one connection; what is unread is bounded, beyond the bound those that
 * stand still are reset; no DATA follows our close, and our close follows all our DATA.
 */
export class PacketConnection extends Duplex implements UnreadHolder {
  readonly connectId: number
  readonly #port: PacketPort
  readonly #stallMs: number
  #peerClosed = false
  #closeSent = false
  readonly #received: Buffer[] = []
  #receivedBytes = 0
  #wanted = false
  /** `performance.now()` since when the reader has taken nothing. */
  #stillSince = 0

  constructor(options: { connectId: number; stallMs?: number }, port: PacketPort) {
    super({ allowHalfOpen: true, readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 })
    this.connectId = options.connectId
    this.#stallMs = options.stallMs ?? STALL_MS
    this.#port = port
  }

  /** Payload from the peer. */
  receive(data: Buffer): void {
    if (this.#peerClosed || this.destroyed || data.length === 0) return
    if (this.#wanted) {
      this.#wanted = this.push(data)
      return
    }
    if (this.#received.length === 0) this.#stillSince = performance.now()
    this.#received.push(data)
    this.#receivedBytes += data.length
    this.#port.unread.add(this, data.length)
    if (this.#excessBytes === 0) return
    if (performance.now() - this.#stillSince > this.#stallMs) this.overflow()
    else this.#port.credit.withhold(this, data.length)
  }

  overflow(): void {
    this.destroy(new ReceiveQueueFullError(this.#receivedBytes))
  }

  /** The peer closed: what was received can still be read, what we would send is dropped. */
  receiveClose(): void {
    if (this.#peerClosed || this.destroyed) return
    this.#peerClosed = true
    this.#port.credit.release(this)
    // No half-close: once the last byte was read nothing is left to do, and the other end must not wait for us.
    this.once('end', () => this.destroy())
    if (this.#received.length === 0) this.push(null)
  }

  override _read(): void {
    this.#wanted = true
    while (this.#wanted) {
      const data = this.#received.shift()
      if (data === undefined) break
      this.#receivedBytes -= data.length
      this.#port.unread.take(this, data.length)
      this.#wanted = this.push(data)
    }
    this.#stillSince = performance.now()
    this.#port.credit.keepAtMost(this, this.#excessBytes)
    if (this.#peerClosed && this.#received.length === 0) this.push(null)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#peerClosed) done()
    else this.#port.sendData(this.connectId, chunk, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#sendClose('')
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#port.unread.forget(this)
    this.#port.credit.release(this)
    this.#receivedBytes = 0
    this.#received.length = 0
    this.#sendClose(error?.message ?? '')
    this.#port.forget(this.connectId, error)
    done(error)
  }

  /** What waits for the reader beyond its share. */
  get #excessBytes(): number {
    return Math.max(0, this.#receivedBytes - this.#port.unread.shareBytes)
  }

  #sendClose(error: string): void {
    if (this.#closeSent || this.#peerClosed) return
    this.#closeSent = true
    this.#port.sendClose(this.connectId, error)
  }
}
