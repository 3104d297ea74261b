import { encodeFields } from '#pkg/http2/hpack.ts'
import type { Http2Stream } from '#pkg/http2/stream.ts'
import { PREFIX_BYTES, writePrefix } from '#pkg/kine/server/frames.ts'
import { encodeMessage, GrpcCode, toStatus } from '#pkg/kine/server/status.ts'
import type { GrpcError } from '#pkg/kine/server/status.ts'

const CONTENT_TYPE = ['content-type', 'application/grpc'] as const
const RESPONSE_HEADERS = encodeFields([CONTENT_TYPE], true)
const OK_TRAILERS = encodeFields(statusFields(undefined))

/** A message too large for one buffer: its length is known, its parts come one after the other. */
export interface StreamedMessage {
  readonly length: number
  readonly parts: AsyncIterable<Buffer>
}

/** The answering side of one gRPC call on one HTTP/2 stream. */
export class Call {
  readonly #stream: Http2Stream
  #drained: (() => void) | undefined
  #code: number | undefined

  constructor(stream: Http2Stream) {
    this.#stream = stream
  }

  /** gRPC status code that `finish` ended the call with, undefined before. */
  get code(): number | undefined {
    return this.#code
  }

  /** The client has gone, or the call is answered. */
  get closed(): boolean {
    return this.#stream.closed
  }

  /** False while what was sent waits for the client's flow-control window. */
  get writable(): boolean {
    return this.#stream.writable
  }

  /** Calls `listener` whenever the client has taken what was sent. There is one. */
  onDrain(listener: () => void): void {
    this.#drained = listener
  }

  /** The stream takes more, or is over. */
  wake(): void {
    this.#drained?.()
  }

  /** Sends response headers: a streaming call is then known to be accepted. */
  start(): void {
    if (!this.#stream.headersSent) this.#stream.sendHeaders(RESPONSE_HEADERS)
  }

  /** Sends one message of a stream; the bytes must not change afterwards. */
  send(message: Buffer): void {
    this.start()
    this.#stream.send(message, prefixOf(message.length))
  }

  /** Answers a unary call. */
  reply(message: Buffer): void {
    this.send(message)
    this.#stream.end(OK_TRAILERS)
  }

  /** Answers a unary call with parts, reading no faster than the client takes them. */
  async replyStreamed({ length, parts }: StreamedMessage): Promise<void> {
    this.start()
    this.#stream.send(prefixOf(length))
    for await (const part of parts) {
      this.#stream.send(part)
      while (!this.writable) {
        if (this.closed) return
        await new Promise<void>((resolve) => this.onDrain(resolve))
      }
    }
    this.#stream.end(OK_TRAILERS)
  }

  /** Ends the call with a status; OK after messages of a stream. */
  finish(error?: unknown): void {
    if (this.closed) return
    const status = error === undefined ? undefined : toStatus(error)
    this.#code = status?.grpcCode ?? GrpcCode.ok
    const fields = statusFields(status)
    if (this.#stream.headersSent) this.#stream.end(encodeFields(fields))
    else this.#stream.sendHeaders(encodeFields([CONTENT_TYPE, ...fields], true), true)
  }
}

function prefixOf(length: number): Buffer {
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES)
  writePrefix(prefix, length)
  return prefix
}

function statusFields(status: GrpcError | undefined): (readonly [name: string, value: string])[] {
  const code = ['grpc-status', String(status?.grpcCode ?? GrpcCode.ok)] as const
  return status === undefined || status.message === ''
    ? [code]
    : [code, ['grpc-message', encodeMessage(status.message)]]
}
