import { GrpcCode, GrpcError } from '#pkg/kine/server/status.ts'

/** gRPC's length prefix: one byte "compressed", four bytes length. */
export const PREFIX_BYTES = 5

/** Writes the prefix of a message of `length` bytes to the start of `target`. */
export function writePrefix(target: Buffer, length: number): void {
  target[0] = 0
  target.writeUInt32BE(length, 1)
}

/** Cuts what arrives on an HTTP/2 stream into messages. */
export class FrameReader {
  readonly #maxBytes: number
  /** Parts of a message that is not complete. */
  #parts: Buffer[] = []
  #bytes = 0
  /** Bytes needed before it is worth looking again. */
  #needed = PREFIX_BYTES

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Complete messages after `chunk`. @throws GrpcError for one that is compressed or too large */
  push(chunk: Buffer): Buffer[] {
    this.#parts.push(chunk)
    this.#bytes += chunk.length
    // A message of megabytes arrives in frames of 16 KiB: joining them each time would copy it a hundred times.
    if (this.#bytes < this.#needed) return []
    let data = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts)
    const messages: Buffer[] = []
    for (let length = this.#lengthOf(data); data.length >= this.#needed; length = this.#lengthOf(data)) {
      messages.push(data.subarray(PREFIX_BYTES, PREFIX_BYTES + length))
      data = data.subarray(PREFIX_BYTES + length)
    }
    this.#parts = data.length === 0 ? [] : [data]
    this.#bytes = data.length
    return messages
  }

  /** Length of the message that `data` begins with; sets how many bytes it takes with its prefix. */
  #lengthOf(data: Buffer): number {
    this.#needed = PREFIX_BYTES
    if (data.length < PREFIX_BYTES) return 0
    if (data[0] !== 0) throw new GrpcError(GrpcCode.unimplemented, 'grpc: compressed messages are not supported')
    const length = data.readUInt32BE(1)
    if (length > this.#maxBytes) {
      throw new GrpcError(
        GrpcCode.resourceExhausted,
        `grpc: received message larger than max (${length} vs. ${this.#maxBytes})`,
      )
    }
    this.#needed = PREFIX_BYTES + length
    return length
  }
}
