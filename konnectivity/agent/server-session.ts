import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { AgentConnections } from '#konnectivity/agent/connections.ts'
import type { AgentMetrics } from '#konnectivity/agent/metrics.ts'
import type { AgentTls, ServerAddress } from '#konnectivity/agent/options.ts'
import { openSession } from '#konnectivity/agent/session.ts'
import type { AgentHello, AgentSession } from '#konnectivity/agent/session.ts'
import { packetTypeLabel, typeLabel } from '#konnectivity/proto/packet.ts'
import type { Buffers } from '#konnectivity/tunnel/buffers.ts'
import type { DrainResult } from '#konnectivity/tunnel/drain.ts'
import { Keepalive, keepalive } from '#konnectivity/tunnel/keepalive.ts'
import { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'

/** Plain data of a session. */
export interface ServerSessionOptions {
  readonly address: ServerAddress
  readonly tls: AgentTls
  readonly hello: AgentHello
  readonly endpointDialTimeoutMs: number
  readonly dialsPerConnection: number
  /** Pings towards a server that is not ours, milliseconds between two. */
  readonly keepaliveMs?: number
}

/** Collaborators of a session. */
export interface ServerSessionDeps {
  readonly metrics: AgentMetrics
  readonly buffers: Buffers
  readonly log: Logger
  /** Called with the totals of each finished connection. */
  readonly onBytes: (toEndpoint: number, fromEndpoint: number) => void
  /** The server asked to be dialled anew; see `retire`. */
  readonly onRetiring: () => void
}

const CONNECT_TIMEOUT_MS = 10_000
/** Longer than a server takes to drain: it ends the session itself unless its hand-over failed. */
const RETIRED_UNUSED_MS = 60_000
const RETIRED_LOOK_MS = 5_000
/** A server that answers no ping is not waited for. */
const ROUND_TRIP_MS = 1_000

/** One connection to a server, from its headers to its end. */
export class ServerSession {
  readonly since = new Date()
  /** Resolves with what ended it; `undefined` when the server ended it in good order. */
  readonly ended: Promise<Error | undefined>
  readonly #transport: AgentSession
  readonly #control: PacketStream
  readonly #connections: AgentConnections
  readonly #keepalive: Keepalive
  readonly #onRetiring: () => void
  #retiring = false
  #retirement: NodeJS.Timeout | undefined

  /**
   * Connects and waits for the server's headers.
   *
   * @throws the connection's error, the server's refusal, or the reason of `signal`
   */
  static async open(
    options: ServerSessionOptions,
    deps: ServerSessionDeps,
    signal: AbortSignal,
  ): Promise<ServerSession> {
    const { address, tls, hello } = options
    const parts = { tls, hello, buffers: deps.buffers }
    const transport = await withDeadline(signal, CONNECT_TIMEOUT_MS, (inner) => openSession(address, parts, inner))
    return new ServerSession(transport, options, deps)
  }

  private constructor(transport: AgentSession, options: ServerSessionOptions, deps: ServerSessionDeps) {
    const { metrics, log, onBytes } = deps
    const { endpointDialTimeoutMs, dialsPerConnection } = options
    this.#transport = transport
    this.#onRetiring = deps.onRetiring
    let onEnd: (error: Error | undefined) => void = () => undefined
    this.ended = new Promise<Error | undefined>((resolve) => (onEnd = resolve)).finally(() => this.#release())
    this.#control = new PacketStream(transport.control, {
      onPacket: (packet) => {
        metrics.streamPackets.add({ segment: 'to_agent', packet_type: packetTypeLabel(packet) })
        if (packet.type === 'drain') this.retire()
        else this.#connections.onPacket(packet)
      },
      onSent: (type) => metrics.streamPackets.add({ segment: 'from_agent', packet_type: typeLabel(type) }),
      onClose: (error) => {
        if (error !== undefined)
          metrics.streamErrors.add({ segment: 'to_agent', code: 'Unavailable', packet_type: 'Unknown' })
        onEnd(error)
      },
    })
    this.#connections = new AgentConnections(
      { flow: transport.flow, endpointDialTimeoutMs, dialsPerConnection },
      {
        session: transport.session,
        control: this.#control,
        buffers: deps.buffers,
        metrics,
        log,
        onBytes,
        onUsedUp: () => {
          this.#control.send({ type: 'drain' })
          this.retire()
        },
      },
    )
    const { intervalMs } = keepalive.upstream
    const upstream = { ...keepalive.upstream, intervalMs: options.keepaliveMs ?? intervalMs }
    this.#keepalive = new Keepalive(transport.session, transport.flow === 'streams' ? keepalive.own : upstream)
  }

  /** As the server named itself; empty when it did not. */
  get announcedId(): string {
    return this.#transport.serverId
  }

  /** Servers that there are, as the server says. */
  get serverCount(): number {
    return this.#transport.serverCount
  }

  get flow(): 'streams' | 'packets' {
    return this.#transport.flow
  }

  /** Round trip of the last keepalive ping, milliseconds. */
  get rttMs(): number | undefined {
    return this.#keepalive.rttMs
  }

  /** Connections to endpoints open now. */
  get openConnections(): number {
    return this.#connections.size
  }

  /** Payload bytes of the open connections: [to endpoints, from endpoints]. */
  get openBytes(): readonly [number, number] {
    return this.#connections.openBytes
  }

  /** Takes no part in counting servers any more: another connection takes its place, or the agent stops. */
  get retiring(): boolean {
    return this.#retiring
  }

  /** See `retiring`. Idempotent. The server ends the session; should it change its mind, we do once nothing uses it. */
  retire(): void {
    if (this.#retiring) return
    this.#retiring = true
    this.#onRetiring()
    let unusedSince: number | undefined
    this.#retirement = setInterval(() => {
      const used = this.#connections.size + this.#connections.pendingDials > 0
      unusedSince = used ? undefined : (unusedSince ?? performance.now())
      if (unusedSince !== undefined && performance.now() - unusedSince > RETIRED_UNUSED_MS) this.close()
    }, RETIRED_LOOK_MS)
  }

  /** Asks the server for no more dials, serves what is open, and disconnects after `timeoutMs` at the latest. */
  async drain(timeoutMs: number): Promise<DrainResult> {
    this.#retiring = true
    this.#control.send({ type: 'drain' })
    // With the answer to a later ping the server has read DRAIN: from then on it sends no dial.
    await Promise.race([this.#roundTrip(), sleep(ROUND_TRIP_MS), this.ended])
    const result = await this.#connections.drain(timeoutMs)
    this.close()
    return result
  }

  /** Disconnects. Idempotent. */
  close(): void {
    this.#transport.session.destroy()
  }

  #roundTrip(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#transport.session.ping(() => resolve())) resolve()
    })
  }

  #release(): void {
    clearInterval(this.#retirement)
    this.#connections.close()
    this.#keepalive.stop()
    this.#transport.session.destroy()
  }
}
