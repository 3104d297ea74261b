import { GrpcCode, GrpcError } from '#pkg/kine/server/status.ts'

/** gRPC's length prefix: one byte "compressed", four bytes length. */
export const PREFIX_BYTES = 5

/** Puts the length prefix in front of a message. */
export function frame(message: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length)
  writePrefix(framed, message.length)
  message.copy(framed, PREFIX_BYTES)
  return framed
}

/** Writes the prefix of a message of `length` bytes to the start of `target`. */
export function writePrefix(target: Buffer, length: number): void {
  target[0] = 0
  target.writeUInt32BE(length, 1)
}

/** Cuts what arrives on an HTTP/2 stream into messages. */
export class FrameReader {
  readonly #maxBytes: number
  #pending: Buffer | undefined

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Complete messages after `chunk`. @throws GrpcError for one that is compressed or too large */
  push(chunk: Buffer): Buffer[] {
    let data = this.#pending === undefined ? chunk : Buffer.concat([this.#pending, chunk])
    const messages: Buffer[] = []
    while (data.length >= PREFIX_BYTES) {
      if (data[0] !== 0) throw new GrpcError(GrpcCode.unimplemented, 'grpc: compressed messages are not supported')
      const length = data.readUInt32BE(1)
      if (length > this.#maxBytes) {
        throw new GrpcError(
          GrpcCode.resourceExhausted,
          `grpc: received message larger than max (${length} vs. ${this.#maxBytes})`,
        )
      }
      if (data.length < PREFIX_BYTES + length) break
      messages.push(data.subarray(PREFIX_BYTES, PREFIX_BYTES + length))
      data = data.subarray(PREFIX_BYTES + length)
    }
    this.#pending = data.length === 0 ? undefined : data
    return messages
  }
}
