import type { Socket } from 'node:net'
import type { BackendConnection } from '#pkg/nllb/backend.ts'

/** A request that the backend has left without any answer for this long is one that it does not serve. */
export const UNANSWERED_MS = 1_000

/** After one end has finished and was told to the other, the other may stay silent this long. */
const LINGER_MS = 30_000

/**
 * Copies between a client and its backend. INVARIANTS: neither side is read faster than the other takes it; an end of
 * stream is passed on after the bytes before it, and the other direction goes on (half-close); an error on one side
 * ends both; `onClose` is called once, when both sockets are gone.
 */
export class Relay implements BackendConnection {
  readonly #client: Socket
  readonly #backend: Socket
  /** When the client sent the bytes that the backend has not answered yet. */
  #unansweredSince: number | undefined
  #open = 2

  constructor(client: Socket, backend: Socket, onClose: () => void) {
    this.#client = client
    this.#backend = backend
    for (const [source, sink] of [
      [client, backend],
      [backend, client],
    ] as const) {
      source.on('error', () => sink.destroy())
      source.once('close', () => {
        if (!source.readableEnded) sink.destroy()
        else if (!sink.destroyed) sink.setTimeout(LINGER_MS, () => sink.destroy())
        this.#open -= 1
        if (this.#open === 0) onClose()
      })
      source.on('end', () => sink.end())
      sink.on('drain', () => source.resume())
    }
    client.on('data', (chunk: Buffer) => {
      this.#unansweredSince ??= performance.now()
      if (!backend.write(chunk)) client.pause()
    })
    backend.on('data', (chunk: Buffer) => {
      this.#unansweredSince = undefined
      if (!client.write(chunk)) backend.pause()
    })
    client.resume()
    backend.resume()
  }

  /** The client waits for an answer since before `UNANSWERED_MS`. A client that does not read does not count. */
  unanswered(now: number): boolean {
    const since = this.#unansweredSince
    return since !== undefined && now - since > UNANSWERED_MS && !this.#backend.isPaused()
  }

  destroy(): void {
    this.#client.destroy()
    this.#backend.destroy()
  }
}
