import { MalformedPacketError } from '#konnectivity/proto/protobuf.ts'

/** Bytes before each gRPC message: a compression flag and the length, big endian. */
export const GRPC_PREFIX_BYTES = 5

/** The prefix of an uncompressed message of `length` bytes. */
export function grpcPrefix(length: number): Buffer {
  const prefix = Buffer.alloc(GRPC_PREFIX_BYTES)
  prefix.writeUInt32BE(length, 1)
  return prefix
}

/** One message with its prefix. */
export function grpcFrame(message: Buffer): Buffer {
  return Buffer.concat([grpcPrefix(message.length), message])
}

/**
 * Cuts a byte stream into gRPC messages. A message inside one chunk is returned as a view; one that spans several is
 * copied once. Holds at most one unfinished message, no longer than the limit.
 */
export class GrpcMessageSplitter {
  readonly #maxMessageBytes: number
  #prefix = Buffer.alloc(0)
  #message: Buffer | undefined
  #filled = 0

  constructor(options: { readonly maxMessageBytes: number }) {
    this.#maxMessageBytes = options.maxMessageBytes
  }

  /** The messages that `chunk` completes, in order. @throws MalformedPacketError on a compressed or too long one. */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let rest = chunk
    while (rest.length > 0) {
      if (this.#message !== undefined) {
        rest = this.#fill(this.#message, rest)
        if (this.#filled < this.#message.length) return
        yield this.#finish(this.#message)
        continue
      }
      const head = this.#prefix.length === 0 ? rest : Buffer.concat([this.#prefix, rest])
      if (head.length < GRPC_PREFIX_BYTES) {
        this.#prefix = Buffer.from(head)
        return
      }
      this.#prefix = Buffer.alloc(0)
      const length = this.#checkedLength(head)
      rest = head.subarray(GRPC_PREFIX_BYTES)
      if (rest.length >= length) {
        yield rest.subarray(0, length)
        rest = rest.subarray(length)
      } else {
        // Not zeroed: every byte is written before the message is handed out.
        this.#message = Buffer.allocUnsafeSlow(length)
      }
    }
  }

  #fill(message: Buffer, chunk: Buffer): Buffer {
    const copied = chunk.copy(message, this.#filled)
    this.#filled += copied
    return chunk.subarray(copied)
  }

  #finish(message: Buffer): Buffer {
    this.#message = undefined
    this.#filled = 0
    return message
  }

  #checkedLength(head: Buffer): number {
    if (head[0] !== 0) throw new MalformedPacketError('compressed message, but no compression was agreed on')
    const length = head.readUInt32BE(1)
    if (length > this.#maxMessageBytes) {
      throw new MalformedPacketError(`message of ${length} bytes exceeds ${this.#maxMessageBytes}`)
    }
    return length
  }
}
