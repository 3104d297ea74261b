import type { Output } from '#pkg/http2/output.ts'
import { NOTHING } from '#pkg/http2/payload.ts'
import { Flag, FrameType } from '#pkg/http2/protocol.ts'

/** Tells the peer that the encoder's table is empty (RFC 7541, 6.3), which it always is. */
const EMPTY_TABLE: Buffer = Buffer.from([0x20])

/** Frames, as the calls that write them to a connection's output. */
export class FrameWriter {
  readonly #output: Output
  #tableUpdate = false

  constructor(output: Output) {
    this.#output = output
  }

  headers(streamId: number, block: Buffer, end: boolean): void {
    const flags = Flag.endHeaders | (end ? Flag.endStream : 0)
    const before = this.#tableUpdate ? EMPTY_TABLE : NOTHING
    this.#tableUpdate = false
    this.#output.send(FrameType.headers, flags, streamId, block, before)
  }

  /** The peer changed the size of its table: the next header block has to say that it is empty. */
  announceTable(): void {
    this.#tableUpdate = true
  }

  data(streamId: number, bytes: Buffer, before: Buffer): void {
    this.#output.send(FrameType.data, 0, streamId, bytes, before)
  }

  /** An empty DATA that ends our direction. */
  end(streamId: number): void {
    this.#output.send(FrameType.data, Flag.endStream, streamId, NOTHING)
  }

  reset(streamId: number, errorCode: number): void {
    this.#number(FrameType.rstStream, streamId, errorCode)
  }

  /** `streamId` 0: the connection's window. */
  windowUpdate(streamId: number, increment: number): void {
    this.#number(FrameType.windowUpdate, streamId, increment)
  }

  settings(settings: readonly (readonly [setting: number, value: number])[]): void {
    const { buffer, at } = this.#output.frame(FrameType.settings, 0, 0, 6 * settings.length)
    for (const [i, [setting, value]] of settings.entries()) {
      buffer.writeUInt16BE(setting, at + 6 * i)
      buffer.writeUInt32BE(value, at + 6 * i + 2)
    }
  }

  acknowledgeSettings(): void {
    this.#output.send(FrameType.settings, Flag.ack, 0, NOTHING)
  }

  /** `answer`: to the peer's PING with this payload. */
  ping(payload: Buffer, { answer = false }: { readonly answer?: boolean } = {}): void {
    this.#output.send(FrameType.ping, answer ? Flag.ack : 0, 0, payload)
  }

  goaway(errorCode: number, lastStreamId: number): void {
    const { buffer, at } = this.#output.frame(FrameType.goaway, 0, 0, 8)
    buffer.writeUInt32BE(lastStreamId, at)
    buffer.writeUInt32BE(errorCode, at + 4)
  }

  #number(type: number, streamId: number, value: number): void {
    const { buffer, at } = this.#output.frame(type, 0, streamId, 4)
    buffer.writeUInt32BE(value, at)
  }
}
