import { Duplex } from 'node:stream'
import type { UnreadHolder, UnreadPackets } from '#konnectivity/tunnel/buffers.ts'
import { RECEIVE_LIMIT_BYTES } from '#konnectivity/tunnel/protocol.ts'

/** The shared stream, as one connection sees it. */
export interface PacketPort {
  /** What all connections of the process may leave unread together. */
  readonly unread: UnreadPackets
  /** Sends payload bytes; `done` once they are on their way: what slows this connection's source down. */
  sendData(connectId: number, payload: Buffer, done: (error?: Error | null) => void): void
  /** Tells the peer that this side is finished, after all data. Called once, unless the peer closed first. */
  sendClose(connectId: number, error: string): void
  /** The connection is gone: its id may be forgotten. */
  forget(connectId: number, error: Error | null): void
}

/** The reader of one connection was too slow for a stream that cannot be paused for it alone. */
export class ReceiveQueueFullError extends Error {
  constructor(limitBytes: number) {
    super(
      `connection reset: its reader left too much unread on a stream shared with others (limit ${limitBytes} bytes)`,
    )
    this.name = 'ReceiveQueueFullError'
  }
}

/**
 * One connection on a stream shared by all of an agent: the fallback towards upstream peers, whose protocol has no flow
 * control. INVARIANTS: the shared stream never waits for one connection; what is unread is bounded, beyond the bound
 * this connection alone is reset; no DATA follows our close, and our close follows all our DATA.
 */
export class PacketConnection extends Duplex implements UnreadHolder {
  readonly connectId: number
  readonly #port: PacketPort
  readonly #receiveLimitBytes: number
  #peerClosed = false
  #closeSent = false
  readonly #received: Buffer[] = []
  #receivedBytes = 0
  #wanted = false

  constructor(options: { connectId: number; receiveLimitBytes?: number }, port: PacketPort) {
    super({ allowHalfOpen: true, readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 })
    this.connectId = options.connectId
    this.#receiveLimitBytes = options.receiveLimitBytes ?? RECEIVE_LIMIT_BYTES
    this.#port = port
  }

  /** Payload from the peer. */
  receive(data: Buffer): void {
    if (this.#peerClosed || this.destroyed || data.length === 0) return
    if (this.#wanted) {
      this.#wanted = this.push(data)
      return
    }
    this.#received.push(data)
    this.#receivedBytes += data.length
    if (this.#receivedBytes > this.#receiveLimitBytes) this.overflow()
    else this.#port.unread.add(this, data.length)
  }

  overflow(): void {
    this.destroy(new ReceiveQueueFullError(this.#receiveLimitBytes))
  }

  /** The peer closed: what was received can still be read, what we would send is dropped. */
  receiveClose(): void {
    if (this.#peerClosed || this.destroyed) return
    this.#peerClosed = true
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
    this.#receivedBytes = 0
    this.#received.length = 0
    this.#sendClose(error?.message ?? '')
    this.#port.forget(this.connectId, error)
    done(error)
  }

  #sendClose(error: string): void {
    if (this.#closeSent || this.#peerClosed) return
    this.#closeSent = true
    this.#port.sendClose(this.connectId, error)
  }
}
