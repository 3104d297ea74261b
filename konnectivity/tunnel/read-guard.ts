import type { Http2Session } from 'node:http2'

/** The part of a socket's handle that the guard needs; not public, but as old as Node.js's streams of handles. */
interface StreamHandle {
  readonly writeQueueSize: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readStart(): number
}

const INTERVAL_MS = 40

/**
 * Node.js's HTTP/2 session stops reading its socket while a write to it is in progress (Http2Session::MaybeStopReading in
 * src/node_http2.cc). When both ends of a connection are Node.js and both directions are busy, both wait for the other to
 * read, for ever; and a reset that arrives in that state is not noticed either. The guard starts the read again where a
 * session has a write pending and moved no byte since the last look. What is then read waits inside the session, bounded
 * by its window, until the write is done.
 */
export class ReadGuard {
  readonly #sessions = new Map<Http2Session, string>()
  #timer: NodeJS.Timeout | undefined

  /** Watches a session until it closes. */
  watch(session: Http2Session): void {
    this.#sessions.set(session, '')
    session.once('close', () => {
      this.#sessions.delete(session)
      if (this.#sessions.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    })
    this.#timer ??= setInterval(() => this.#look(), INTERVAL_MS)
  }

  #look(): void {
    for (const [session, before] of this.#sessions) {
      const handle = handleOf(session)
      if (handle === undefined || handle.writeQueueSize === 0) continue
      const now = `${handle.bytesRead}/${handle.bytesWritten}/${handle.writeQueueSize}`
      if (now === before) handle.readStart()
      this.#sessions.set(session, now)
    }
  }
}

function handleOf(session: Http2Session): StreamHandle | undefined {
  if (session.destroyed) return undefined
  return (session.socket as unknown as { readonly _handle?: StreamHandle | null })._handle ?? undefined
}
