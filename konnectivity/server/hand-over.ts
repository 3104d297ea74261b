import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { listenUnix } from '#konnectivity/tunnel/listen.ts'
import type { UnixListener } from '#konnectivity/tunnel/listen.ts'

/*
 * How a server gives way to its successor (docs/adr/0009): lines over a unix socket that only their common user may open.
 *
 *   successor                                 predecessor
 *      prepare ──────────────────────────────▶ closes its agent port, sends its agents DRAIN
 *      ◀──────────── agents <that move> <that stay>
 *      (agents come; the frontend is opened)
 *      taken ────────────────────────────────▶ stops accepting, drains, exits
 *
 * A connection that ends before `taken` undoes `prepare`.
 */

/** Agents of a server that hands over. */
export interface MovingAgents {
  /** Will connect to the successor at once. */
  readonly moving: number
  /** Upstream's: will do so when they are disconnected. */
  readonly staying: number
}

/** What a server does for its successor. */
export interface HandOverActions {
  /** Sends its agents to the successor. */
  readonly prepare: () => MovingAgents
  /** The successor went away before it took over. */
  readonly resume: () => void
  /** The successor serves: this one is to stop. */
  readonly taken: () => void
}

/** The running server, as its successor sees it. */
export interface Predecessor {
  /** See HandOverActions.prepare; none when it does not answer. */
  prepare(): Promise<MovingAgents>
  /** The frontend is open: it may stop. */
  taken(): void
  /** It still runs, or drains. */
  readonly alive: boolean
  /** Aborts when it is gone. */
  readonly gone: AbortSignal
  /** Ends the conversation. */
  close(): void
}

const CONNECT_TIMEOUT_MS = 1_000
const ANSWER_TIMEOUT_MS = 2_000
const MAX_LINE_CHARACTERS = 100

/** Waits for a successor. */
export class HandOverOffer {
  readonly #actions: HandOverActions
  readonly #log: Logger
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #listener: UnixListener | undefined
  #successor: Socket | undefined

  constructor(actions: HandOverActions, deps: { readonly log: Logger }) {
    this.#actions = actions
    this.#log = deps.log
    this.#server = createServer((socket) => this.#serve(socket))
  }

  /** @throws TunnelListenError */
  async start(path: string): Promise<void> {
    this.#listener = await listenUnix(this.#server, { path, mode: 0o600, deleteExisting: true }, 'tunnel hand-over')
  }

  /** Closes the socket; a successor that took over sees by it that this server is done. */
  async stop(): Promise<void> {
    this.#successor = undefined
    for (const socket of this.#sockets) socket.destroy()
    await this.#listener?.close()
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      if (this.#successor !== socket) return
      this.#successor = undefined
      this.#log.warn('the successor went away before it took over, going on')
      this.#actions.resume()
    })
    onLine(socket, (line) => this.#onLine(socket, line))
  }

  #onLine(socket: Socket, line: string): void {
    if (line === 'prepare' && this.#successor === undefined) {
      this.#successor = socket
      this.#log.info('handing over to a successor')
      const { moving, staying } = this.#actions.prepare()
      socket.write(`agents ${moving} ${staying}\n`)
    } else if (line === 'taken' && this.#successor === socket) {
      this.#successor = undefined
      this.#actions.taken()
    } else {
      socket.destroy()
    }
  }
}

/** Connects to the server that offers to hand over at `path`; undefined when there is none. */
export async function findPredecessor(path: string): Promise<Predecessor | undefined> {
  const socket = connect(path)
  const connected = await withDeadline(
    undefined,
    CONNECT_TIMEOUT_MS,
    (signal) =>
      new Promise<boolean>((resolve) => {
        socket.once('connect', () => resolve(true))
        socket.on('error', () => resolve(false))
        signal.addEventListener('abort', () => resolve(false), { once: true })
      }),
  )
  if (!connected) {
    socket.destroy()
    return undefined
  }
  return predecessorOn(socket)
}

function predecessorOn(socket: Socket): Predecessor {
  const gone = new AbortController()
  let onAnswer: (line: string) => void = () => undefined
  const onClose = (): void => {
    gone.abort(new Error('the predecessor is gone'))
    onAnswer('')
  }
  socket.once('close', onClose)
  onLine(socket, (line) => onAnswer(line))
  return {
    gone: gone.signal,
    get alive() {
      return !gone.signal.aborted
    },
    prepare: async () => {
      const answer = new Promise<string>((resolve) => (onAnswer = resolve))
      const timer = setTimeout(() => onAnswer(''), ANSWER_TIMEOUT_MS)
      socket.write('prepare\n')
      const line = await answer
      clearTimeout(timer)
      const [, moving, staying] = /^agents (\d{1,6}) (\d{1,6})$/.exec(line) ?? []
      return { moving: Number(moving ?? 0), staying: Number(staying ?? 0) }
    },
    taken: () => void socket.write('taken\n'),
    close: () => socket.destroy(),
  }
}

function onLine(socket: Socket, handle: (line: string) => void): void {
  let received = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    received += chunk
    for (let end = received.indexOf('\n'); end >= 0; end = received.indexOf('\n')) {
      const line = received.slice(0, end)
      received = received.slice(end + 1)
      handle(line)
    }
    if (received.length > MAX_LINE_CHARACTERS) socket.destroy()
  })
}
