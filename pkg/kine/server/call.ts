import type { ServerHttp2Stream } from 'node:http2'
import { encodeMessage, GrpcCode, toStatus } from '#pkg/kine/server/status.ts'
import type { GrpcError } from '#pkg/kine/server/status.ts'
import { frame, PREFIX_BYTES, writePrefix } from '#pkg/kine/server/frames.ts'

const RESPONSE_HEADERS = { ':status': 200, 'content-type': 'application/grpc' } as const

/** A message too large for one buffer: its length is known, its parts come one after the other. */
export interface StreamedMessage {
  readonly length: number
  readonly parts: AsyncIterable<Buffer>
}

/** The answering side of one gRPC call on one HTTP/2 stream. */
export class Call {
  readonly #stream: ServerHttp2Stream
  #ended = false
  #status: { readonly code: number; readonly text: string } = { code: GrpcCode.ok, text: '' }

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream
  }

  /** The client has gone, or the call is answered. */
  get closed(): boolean {
    return this.#ended || this.#stream.destroyed || this.#stream.closed
  }

  /** False while what was sent waits for the client's flow-control window. */
  get writable(): boolean {
    return !this.closed && !this.#stream.writableNeedDrain
  }

  /** Calls `listener` whenever the client has taken what was sent. */
  onDrain(listener: () => void): void {
    this.#stream.on('drain', listener)
  }

  /** Sends response headers: a streaming call is then known to be accepted. */
  start(): void {
    if (this.closed || this.#stream.headersSent) return
    this.#stream.respond(RESPONSE_HEADERS, { waitForTrailers: true })
    this.#stream.once('wantTrailers', () => {
      const { code, text } = this.#status
      this.#stream.sendTrailers({ 'grpc-status': String(code), ...(text !== '' && { 'grpc-message': text }) })
    })
  }

  /** Sends one message of a stream. */
  send(message: Buffer): void {
    if (this.closed) return
    this.start()
    this.#stream.write(frame(message))
  }

  /** Answers a unary call. */
  reply(message: Buffer): void {
    if (this.closed) return
    this.start()
    this.#ended = true
    this.#stream.end(frame(message))
  }

  /** Answers a unary call with parts, reading no faster than the client takes them. */
  async replyStreamed({ length, parts }: StreamedMessage): Promise<void> {
    this.start()
    const prefix = Buffer.allocUnsafe(PREFIX_BYTES)
    writePrefix(prefix, length)
    await this.#write(prefix)
    for await (const part of parts) if (!(await this.#write(part))) return
    this.#ended = true
    this.#stream.end()
  }

  /** Ends the call with a status; OK after messages of a stream. */
  finish(error?: unknown): void {
    if (this.closed) return
    const status = error === undefined ? undefined : toStatus(error)
    if (this.#stream.headersSent) this.#finishStarted(status)
    else this.#finishAtOnce(status)
  }

  #finishStarted(status: GrpcError | undefined): void {
    if (status !== undefined) this.#status = { code: status.grpcCode, text: encodeMessage(status.message) }
    this.#ended = true
    this.#stream.end()
  }

  #finishAtOnce(status: GrpcError | undefined): void {
    this.#ended = true
    const trailers = {
      'grpc-status': String(status?.grpcCode ?? GrpcCode.ok),
      ...(status !== undefined && { 'grpc-message': encodeMessage(status.message) }),
    }
    this.#stream.respond({ ...RESPONSE_HEADERS, ...trailers }, { endStream: true })
  }

  /** Resolves once more may be written; false when the client has gone. */
  async #write(part: Buffer): Promise<boolean> {
    if (this.closed) return false
    if (!this.#stream.write(part)) await this.#drained()
    return !this.closed
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done)
        this.#stream.off('close', done)
        resolve()
      }
      this.#stream.on('drain', done)
      this.#stream.on('close', done)
    })
  }
}
