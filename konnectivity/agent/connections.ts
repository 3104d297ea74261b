import { performance } from 'node:perf_hooks'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { errorMessage } from '#pkg/errors/error.ts'
import type { Http2Session } from '#pkg/http2/session.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { dialEndpoint } from '#konnectivity/agent/endpoint.ts'
import type { AgentMetrics } from '#konnectivity/agent/metrics.ts'
import type { Packet } from '#konnectivity/proto/packet.ts'
import type { Buffers } from '#konnectivity/tunnel/buffers.ts'
import { drainConnections } from '#konnectivity/tunnel/drain.ts'
import type { DrainResult } from '#konnectivity/tunnel/drain.ts'
import { PacketConnection } from '#konnectivity/tunnel/packet-connection.ts'
import type { PacketPort } from '#konnectivity/tunnel/packet-connection.ts'
import type { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'
import { metadata, paths } from '#konnectivity/tunnel/protocol.ts'
import { LINGER_MS, Splice } from '#konnectivity/tunnel/splice.ts'
import { StreamCredit } from '#konnectivity/tunnel/stream-credit.ts'

/** Plain data of the connections of one session. */
export interface AgentConnectionsOptions {
  readonly flow: 'streams' | 'packets'
  readonly endpointDialTimeoutMs: number
  /** See KonnectivityAgentOptions. */
  readonly dialsPerConnection: number
}

/** Collaborators. */
export interface AgentConnectionsDeps {
  readonly session: Http2Session
  readonly control: PacketStream
  readonly buffers: Buffers
  readonly metrics: AgentMetrics
  readonly log: Logger
  /** Called with the totals of each finished connection. */
  readonly onBytes: (toEndpoint: number, fromEndpoint: number) => void
  /** There were as many dials as a session may have. Called once. */
  readonly onUsedUp: () => void
}

/** Serves the dials of one server and owns the connections to endpoints that came of them. */
export class AgentConnections {
  readonly #options: AgentConnectionsOptions
  readonly #deps: AgentConnectionsDeps
  readonly #dials = new Map<bigint, AbortController>()
  readonly #splices = new Set<Splice>()
  readonly #byId = new Map<number, PacketConnection>()
  readonly #port: PacketPort
  readonly #ended = new AbortController()
  #lastConnectId = 0
  #served = 0

  constructor(options: AgentConnectionsOptions, deps: AgentConnectionsDeps) {
    this.#options = options
    this.#deps = deps
    this.#port = {
      unread: deps.buffers.unread,
      credit: new StreamCredit(deps.control),
      sendData: (id, payload, done) => deps.control.sendData(id, payload, done),
      sendClose: (connectId, error) => deps.control.send({ type: 'closeResponse', connectId, error }),
      forget: (id) => this.#byId.delete(id),
    }
  }

  /** Connections open now. */
  get size(): number {
    return this.#splices.size
  }

  /** Payload bytes of the open connections: [to endpoints, from endpoints]. */
  get openBytes(): readonly [number, number] {
    let [to, from] = [0, 0]
    for (const { counters } of this.#splices) {
      to += counters.backward
      from += counters.forward
    }
    return [to, from]
  }

  /** A packet of the control stream. */
  onPacket(packet: Packet): void {
    switch (packet.type) {
      case 'dialRequest':
        void this.#dial(packet)
        return
      case 'closeDial':
        this.#dials.get(packet.random)?.abort()
        return
      case 'data': {
        const connection = this.#byId.get(packet.connectId)
        if (connection !== undefined) connection.receive(packet.data)
        else this.#closeResponse(packet.connectId, 'unrecognized connectID')
        return
      }
      case 'closeRequest':
        this.#onCloseRequest(packet.connectId)
        return
      case 'dialResponse':
      case 'closeResponse':
      case 'drain':
      case 'unknown':
        // Not sent by servers; upstream ignores them too.
        return
    }
  }

  /** Dials to endpoints that still run. */
  get pendingDials(): number {
    return this.#dials.size
  }

  /** Lets connections end, see `drainConnections`; dials that still come are served too. */
  drain(timeoutMs: number): Promise<DrainResult> {
    const { signal } = this.#ended
    return drainConnections({ timeoutMs }, { splices: this.#splices, pending: () => this.#dials.size, signal })
  }

  /** The session is over: no dial and no endpoint connection is left behind. */
  close(): void {
    this.#ended.abort(new Error('tunnel to the server closed'))
    for (const dial of this.#dials.values()) dial.abort()
    for (const splice of this.#splices) splice.destroy(new Error('tunnel to the server closed'))
  }

  async #dial({ address, random }: Extract<Packet, { type: 'dialRequest' }>): Promise<void> {
    if (this.#dials.has(random)) return
    const abort = new AbortController()
    this.#dials.set(random, abort)
    const startedAt = performance.now()
    const result = await dialEndpoint(address, abort.signal, this.#options.endpointDialTimeoutMs)
    this.#dials.delete(random)
    switch (result.kind) {
      case 'aborted':
        return
      case 'failed':
        this.#deps.metrics.dialFailures.add({ reason: result.reason })
        this.#deps.log.debug('cannot reach endpoint', { address, reason: result.error })
        this.#deps.control.send({ type: 'dialResponse', error: result.error, connectId: 0, random })
        return
      case 'connected':
        this.#deps.metrics.dialDuration.observe((performance.now() - startedAt) / 1000)
        this.#connected(random, result.socket)
    }
  }

  #connected(random: bigint, socket: Socket): void {
    if (this.#ended.signal.aborted || abandoned(this.#deps)) {
      socket.destroy()
      return
    }
    try {
      this.#splice(socket, this.#options.flow === 'streams' ? this.#openStream(random) : this.#openPackets(random))
    } catch (error) {
      // As many are open as the server allows, each of them a connection of its own.
      socket.destroy()
      this.#deps.control.send({ type: 'dialResponse', error: errorMessage(error), connectId: 0, random })
    }
    this.#served += 1
    if (this.#served === this.#options.dialsPerConnection) this.#deps.onUsedUp()
  }

  /** The opening request of the stream is the answer to the dial. */
  #openStream(random: bigint): Duplex {
    const headers = {
      ':method': 'POST',
      ':scheme': 'https',
      ':path': paths.connection,
      [metadata.dial]: random.toString(),
    }
    return this.#deps.session.request(headers)
  }

  #openPackets(random: bigint): Duplex {
    const connectId = (this.#lastConnectId += 1)
    const connection = new PacketConnection({ connectId }, this.#port)
    this.#byId.set(connectId, connection)
    this.#deps.control.send({ type: 'dialResponse', error: '', connectId, random })
    return connection
  }

  #splice(socket: Socket, tunnel: Duplex): void {
    const splice = new Splice(socket, tunnel, { lingerMs: LINGER_MS })
    this.#splices.add(splice)
    void splice.closed.then(() => {
      this.#splices.delete(splice)
      this.#deps.onBytes(splice.counters.backward, splice.counters.forward)
    })
  }

  #onCloseRequest(connectId: number): void {
    const connection = this.#byId.get(connectId)
    if (connection === undefined) {
      this.#closeResponse(connectId, 'Unknown connectID')
      return
    }
    // Answered at once; what was received before still goes to the endpoint.
    this.#closeResponse(connectId, '')
    connection.receiveClose()
  }

  #closeResponse(connectId: number, error: string): void {
    this.#deps.control.send({ type: 'closeResponse', connectId, error })
  }
}

function abandoned({ session, control }: AgentConnectionsDeps): boolean {
  return session.closed || session.destroyed || !control.writable
}
