import type { ClientDuplexStream } from '@grpc/grpc-js'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'

/** A bidirectional stream whose messages are awaited one by one. */
export interface TestStream {
  write(message: object): void
  /** Next message; rejects with the status when the stream has ended, or after a time, 5 s unless given: then it is over. */
  next(patienceMs?: number): Promise<Message>
  /** Messages that have arrived and were not taken. */
  readonly waiting: number
  /** Stops and goes on reading, so that flow control works against the server. */
  pause(): void
  resume(): void
  cancel(): void
  end(): void
}

const PATIENCE_MS = 5_000

/** Keeps what arrives until it is taken. */
export class BufferedStream implements TestStream {
  readonly #call: ClientDuplexStream<object, Message>
  readonly #messages: Message[] = []
  #wake: (() => void) | undefined
  #error: Error | undefined

  constructor(call: ClientDuplexStream<object, Message>) {
    this.#call = call
    call.on('data', (message: Message) => {
      this.#messages.push(message)
      this.#wake?.()
    })
    call.on('error', (error: Error) => this.#fail(error))
    call.on('end', () => this.#fail(new Error('stream ended')))
  }

  get waiting(): number {
    return this.#messages.length
  }

  write(message: object): void {
    this.#call.write(message)
  }

  async next(patienceMs = PATIENCE_MS): Promise<Message> {
    const timeout = setTimeout(() => this.#fail(new Error(`no message within ${patienceMs} ms`)), patienceMs)
    try {
      while (this.#messages.length === 0) {
        if (this.#error !== undefined) throw this.#error
        await new Promise<void>((wake) => (this.#wake = wake))
      }
      return this.#messages.shift() as Message
    } finally {
      clearTimeout(timeout)
    }
  }

  pause(): void {
    this.#call.pause()
  }

  resume(): void {
    this.#call.resume()
  }

  cancel(): void {
    this.#call.cancel()
  }

  end(): void {
    this.#call.end()
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.#wake?.()
  }
}
