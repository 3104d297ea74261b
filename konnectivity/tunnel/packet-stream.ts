import type { Duplex } from 'node:stream'
import { errorMessage } from '#pkg/errors/error.ts'
import { grpcFrame, grpcPrefix, GrpcMessageSplitter } from '#konnectivity/proto/grpc-frame.ts'
import { dataPrefix, decodePacket, encodePacket } from '#konnectivity/proto/packet.ts'
import type { Packet } from '#konnectivity/proto/packet.ts'
import { MalformedPacketError } from '#konnectivity/proto/protobuf.ts'
import { MAX_DATA_BYTES, MAX_MESSAGE_BYTES } from '#konnectivity/tunnel/protocol.ts'
import type { CreditSource } from '#konnectivity/tunnel/stream-credit.ts'

/** What happens on a packet stream. */
export interface PacketStreamHandler {
  /** A packet arrived; throwing ends the stream as malformed. */
  onPacket(packet: Packet): void
  /** The stream is over. `error` says why unless it ended regularly. Called once. */
  onClose(error: Error | undefined): void
  /** The peer breaks the protocol or never reads; the stream is ended. `onClose` follows. */
  onOffence?(error: Error): void
  /** A packet of that type was queued. */
  onSent?(type: Exclude<Packet['type'], 'unknown'>): void
}

/** A peer that makes us queue so many bytes of answers by never reading is disconnected; DATA waits with its source. */
const MAX_ANSWER_BYTES = 1024 * 1024

/** Packets over one gRPC stream of either side: framing, decoding, and writing without copying payloads. */
export class PacketStream implements CreditSource {
  readonly #stream: Duplex & Partial<CreditSource>
  readonly #onSent: PacketStreamHandler['onSent']
  readonly #onOffence: PacketStreamHandler['onOffence']
  #error: Error | undefined
  /** Of packets without payload that are not on their way yet. */
  #answerBytes = 0

  constructor(stream: Duplex & Partial<CreditSource>, handler: PacketStreamHandler) {
    this.#stream = stream
    this.#onSent = (type) => handler.onSent?.(type)
    this.#onOffence = (error) => handler.onOffence?.(error)
    const splitter = new GrpcMessageSplitter({ maxMessageBytes: MAX_MESSAGE_BYTES })
    stream.on('data', (chunk: Buffer) => {
      try {
        for (const message of splitter.push(chunk)) handler.onPacket(decodePacket(message))
      } catch (error) {
        this.#offence(error instanceof MalformedPacketError ? error : new Error(errorMessage(error), { cause: error }))
      }
    })
    stream.on('error', (error: Error) => (this.#error ??= error))
    stream.on('end', () => this.end())
    const onClose = (): void => handler.onClose(this.#error)
    // A stream that died before it was handed over does not say so again.
    if (stream.destroyed) setImmediate(onClose)
    else stream.once('close', onClose)
  }

  /** Queues one packet; nothing happens once the stream is closed. */
  send(packet: Exclude<Packet, { readonly type: 'unknown' }>): void {
    if (!this.writable) return
    const frame = grpcFrame(encodePacket(packet))
    const answerBytes = packet.type === 'data' ? 0 : frame.length
    this.#answerBytes += answerBytes
    this.#stream.write(frame, () => (this.#answerBytes -= answerBytes))
    this.#onSent?.(packet.type)
    if (this.#answerBytes > MAX_ANSWER_BYTES) this.#offence(new Error('the peer does not read its stream'))
  }

  /** Queues payload bytes of a connection; `done` is called once they are on their way. Never sends an empty packet. */
  sendData(connectId: number, payload: Buffer, done: (error?: Error | null) => void): void {
    if (!this.writable) {
      done(new Error('tunnel stream closed'))
      return
    }
    this.#stream.cork()
    for (let at = 0; at < payload.length; at += MAX_DATA_BYTES) {
      const part = payload.subarray(at, at + MAX_DATA_BYTES)
      const prefix = dataPrefix(connectId, part.length)
      this.#stream.write(Buffer.concat([grpcPrefix(prefix.length + part.length), prefix]))
      this.#stream.write(part, at + MAX_DATA_BYTES >= payload.length ? done : undefined)
    }
    this.#stream.uncork()
    this.#onSent?.('data')
    if (payload.length === 0) done()
  }

  /** Stops and starts reading: only for a stream that carries a single connection. */
  pause(): void {
    this.#stream.pause()
  }

  /** Undoes `pause`. */
  resume(): void {
    this.#stream.resume()
  }

  withhold(bytes: number): void {
    this.#stream.withhold?.(bytes)
  }

  grant(bytes: number): void {
    this.#stream.grant?.(bytes)
  }

  /** False once the stream cannot take packets any more. */
  get writable(): boolean {
    return !this.#stream.destroyed && !this.#stream.writableEnded
  }

  /** Ends our direction after what is queued. */
  end(): void {
    if (this.writable) this.#stream.end()
  }

  #offence(error: Error): void {
    this.destroy(error)
    this.#onOffence?.(error)
  }

  /** Ends the stream at once; the handler's onClose gets `error`. */
  destroy(error?: Error): void {
    this.#error ??= error
    // With a reason: without one Node.js makes an error, with its stack, for each packet that waits.
    this.#stream.destroy(error)
  }
}
