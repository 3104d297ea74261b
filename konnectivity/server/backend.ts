import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { Http2Session } from '#pkg/http2/session.ts'
import type { Logger } from '#pkg/log/logger.ts'
import type { Packet } from '#konnectivity/proto/packet.ts'
import type { AgentIdentity } from '#konnectivity/server/identity.ts'
import type { Buffers } from '#konnectivity/tunnel/buffers.ts'
import type { Keepalive } from '#konnectivity/tunnel/keepalive.ts'
import { Traffic } from '#konnectivity/server/traffic.ts'
import { PacketConnection, ReceiveQueueFullError } from '#konnectivity/tunnel/packet-connection.ts'
import type { PacketPort } from '#konnectivity/tunnel/packet-connection.ts'
import type { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'
import { StreamCredit } from '#konnectivity/tunnel/stream-credit.ts'

/** How one agent answered a dial. */
export type BackendDial =
  /** `connectId` is the agent's, or undefined for a connection with a stream of its own. */
  | { readonly kind: 'connected'; readonly connection: Duplex; readonly connectId: number | undefined }
  /** The agent could not reach the endpoint; the text is its error. */
  | { readonly kind: 'refused'; readonly error: string }
  /** The agent went before it answered: nothing was sent, another may be asked. */
  | { readonly kind: 'gone' }
  /** The caller gave up. */
  | { readonly kind: 'aborted' }

/** Plain data of a backend. */
export interface BackendOptions {
  readonly identity: AgentIdentity
  /** `streams`: a native HTTP/2 stream for each connection; `packets`: an upstream agent, all on one stream. */
  readonly flow: 'streams' | 'packets'
  readonly remoteAddress: string
}

/** Collaborators of a backend. */
export interface BackendDeps {
  readonly session: Http2Session
  readonly control: PacketStream
  readonly buffers: Buffers
  readonly keepalive: Keepalive
  readonly log: Logger
  /** The agent answered a dial that nobody waits for any more. */
  readonly onUnrecognizedResponse: () => void
  /** A connection was reset because its frontend read too slowly. */
  readonly onReceiveQueueFull: () => void
}

/** One connected agent: dials through it and the connections it carries. */
export class Backend {
  readonly identity: AgentIdentity
  readonly flow: BackendOptions['flow']
  readonly remoteAddress: string
  readonly since = new Date()
  readonly traffic = new Traffic()
  /** The agent asked for no new connections. */
  draining = false
  /** The control stream ended. */
  closed = false
  readonly #deps: BackendDeps
  readonly #pending = new Map<bigint, (result: BackendDial) => void>()
  readonly #connections = new Map<number, PacketConnection>()
  readonly #port: PacketPort

  constructor(options: BackendOptions, deps: BackendDeps) {
    this.identity = options.identity
    this.flow = options.flow
    this.remoteAddress = options.remoteAddress
    this.#deps = deps
    this.#port = {
      unread: deps.buffers.unread,
      credit: new StreamCredit(deps.control),
      sendData: (id, payload, done) => deps.control.sendData(id, payload, done),
      sendClose: (connectId) => deps.control.send({ type: 'closeRequest', connectId }),
      forget: (id, error) => {
        this.#connections.delete(id)
        if (error instanceof ReceiveQueueFullError) deps.onReceiveQueueFull()
      },
    }
  }

  /** Dials waiting for the agent's answer. */
  get pendingDials(): number {
    return this.#pending.size
  }

  /** Round trip of the last keepalive ping, milliseconds. */
  get rttMs(): number | undefined {
    return this.#deps.keepalive.rttMs
  }

  /** Asks the agent to connect to `address`. Never rejects; always settles when the agent goes or `signal` aborts. */
  dial(address: string, signal: AbortSignal): Promise<BackendDial> {
    if (this.closed) return Promise.resolve({ kind: 'gone' })
    if (signal.aborted) return Promise.resolve({ kind: 'aborted' })
    const random = dialId()
    return new Promise((resolve) => {
      const onAbort = (): void => {
        this.#deps.control.send({ type: 'closeDial', random })
        settle({ kind: 'aborted' })
      }
      const settle = (result: BackendDial): void => {
        this.#pending.delete(random)
        signal.removeEventListener('abort', onAbort)
        resolve(result)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#pending.set(random, settle)
      this.#deps.control.send({ type: 'dialRequest', protocol: 'tcp', address, random })
    })
  }

  /** Takes the stream that the agent opened for a dial; false when nobody waits for it any more. */
  acceptStream(random: bigint, stream: Duplex): boolean {
    const settle = this.#pending.get(random)
    settle?.({ kind: 'connected', connection: stream, connectId: undefined })
    return settle !== undefined
  }

  /** A packet of the agent's control stream. */
  onPacket(packet: Packet): void {
    switch (packet.type) {
      case 'dialResponse':
        this.#onDialResponse(packet)
        return
      case 'data': {
        const connection = this.#connections.get(packet.connectId)
        if (connection === undefined) this.#deps.control.send({ type: 'closeRequest', connectId: packet.connectId })
        else connection.receive(packet.data)
        return
      }
      case 'closeResponse':
      case 'closeRequest':
        this.#connections.get(packet.connectId)?.receiveClose()
        return
      case 'drain':
        this.draining = true
        this.#deps.log.info('agent is draining')
        return
      case 'dialRequest':
      case 'closeDial':
      case 'unknown':
        // Not sent by agents; upstream ignores them too.
        return
    }
  }

  #onDialResponse(packet: Extract<Packet, { type: 'dialResponse' }>): void {
    const settle = this.#pending.get(packet.random)
    if (packet.error !== '') {
      settle?.({ kind: 'refused', error: packet.error })
      return
    }
    const { connectId } = packet
    if (this.#connections.has(connectId)) {
      // An agent that hands out an id twice would mix two connections up: neither is left to it.
      this.#connections.get(connectId)?.destroy(new Error(`agent used connection id ${connectId} twice`))
      settle?.({ kind: 'refused', error: `agent used connection id ${connectId} twice` })
      return
    }
    if (settle === undefined) {
      this.#deps.onUnrecognizedResponse()
      this.#deps.control.send({ type: 'closeRequest', connectId })
      return
    }
    const connection = new PacketConnection({ connectId }, this.#port)
    this.#connections.set(connectId, connection)
    settle({ kind: 'connected', connection, connectId })
  }

  /** The control stream ended: what waits is told at once, what ran on it is reset. */
  close(error: Error | undefined): void {
    this.closed = true
    for (const settle of [...this.#pending.values()]) settle({ kind: 'gone' })
    for (const connection of [...this.#connections.values()]) {
      connection.destroy(error ?? new Error('tunnel to the agent closed'))
    }
    this.#deps.session.destroy()
  }

  /** Asks an agent of ours to dial this address anew; false for one that would not understand. */
  askToMove(): boolean {
    if (this.flow !== 'streams' || this.closed) return false
    this.#deps.control.send({ type: 'drain' })
    return true
  }

  /** An upstream agent without a dial or connection: it can be disconnected without a loss. */
  get unused(): boolean {
    return this.flow === 'packets' && this.#pending.size + this.#connections.size === 0
  }

  /** Disconnects the agent. */
  destroy(error?: Error): void {
    this.#deps.session.destroy(error)
  }
}

/** Of the 63 bits that the protocol has: a varint of seven bytes, which both ends read without arithmetic of large integers. */
const MAX_DIAL_ID = 2n ** 49n - 1n
let lastDialId = randomBytes(8).readBigUInt64BE() & MAX_DIAL_ID

/** Unique to this process; not the frontend's own number, which another frontend could have chosen too. */
function dialId(): bigint {
  lastDialId = (lastDialId + 1n) & MAX_DIAL_ID
  return lastDialId
}
