import { GrpcCode, GrpcError } from '#pkg/kine/server/status.ts'

/** gRPC's length prefix: one byte "compressed", four bytes length. */
export const PREFIX_BYTES = 5

const NOTHING: Buffer = Buffer.alloc(0)

/** Writes the prefix of a message of `length` bytes to the start of `target`. */
export function writePrefix(target: Buffer, length: number): void {
  target[0] = 0
  target.writeUInt32BE(length, 1)
}

/** So many parts of a message are joined when they come: an object for each costs more than its few bytes. */
const MAX_SMALL_PARTS = 128
const SMALL_PART_BYTES = 256

/** Cuts what arrives on an HTTP/2 stream into messages. */
export class FrameReader {
  readonly #maxBytes: number
  #data: Buffer = NOTHING
  /** Of `#data` this much has been given out. */
  #at = 0
  /** What arrived behind `#data`. */
  #parts: Buffer[] = []
  #smallParts = 0
  /** Bytes that have arrived and were not given out. */
  #bytes = 0
  /** Bytes needed before it is worth looking again. */
  #needed = PREFIX_BYTES

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes that have arrived and belong to no message that was given out. */
  get waitingBytes(): number {
    return this.#bytes
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#bytes += chunk.length
    this.#parts.push(chunk)
    this.#smallParts = chunk.length < SMALL_PART_BYTES ? this.#smallParts + 1 : 0
    if (this.#smallParts < MAX_SMALL_PARTS) return
    this.#parts.push(Buffer.concat(this.#parts.splice(-MAX_SMALL_PARTS)))
    this.#smallParts = 0
  }

  /** The next message if it is complete. @throws GrpcError for one that is compressed or too large */
  next(): Buffer | undefined {
    while (this.#bytes >= this.#needed) {
      // A message of megabytes arrives in frames of 16 KiB: joining them each time would copy it a hundred times.
      if (this.#data.length - this.#at < this.#needed) this.#join()
      if (this.#needed > PREFIX_BYTES) return this.#take()
      const length = this.#lengthOfNext()
      if (length === 0) return this.#take()
      this.#needed = PREFIX_BYTES + length
    }
    return undefined
  }

  #join(): void {
    const rest = this.#data.subarray(this.#at)
    const [first] = this.#parts
    this.#data =
      rest.length === 0 && first !== undefined && this.#parts.length === 1
        ? first
        : Buffer.concat([rest, ...this.#parts])
    this.#at = 0
    this.#parts = []
    this.#smallParts = 0
  }

  /** A complete message of `#needed` bytes with its prefix. */
  #take(): Buffer {
    const end = this.#at + this.#needed
    const message = this.#data.subarray(this.#at + PREFIX_BYTES, end)
    this.#bytes -= this.#needed
    this.#needed = PREFIX_BYTES
    this.#at = end
    if (end === this.#data.length) {
      this.#data = NOTHING
      this.#at = 0
    }
    return message
  }

  #lengthOfNext(): number {
    if (this.#data[this.#at] !== 0) {
      throw new GrpcError(GrpcCode.unimplemented, 'grpc: compressed messages are not supported')
    }
    const length = this.#data.readUInt32BE(this.#at + 1)
    if (length > this.#maxBytes) {
      throw new GrpcError(
        GrpcCode.resourceExhausted,
        `grpc: received message larger than max (${length} vs. ${this.#maxBytes})`,
      )
    }
    return length
  }
}
