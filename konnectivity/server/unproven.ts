import type { Socket } from 'node:net'

/** Bounds of what has not proven itself. */
export interface UnprovenOptions {
  /** Connections at once; each holds a handshake and little more. Default 512. */
  readonly limit?: number
  /** How long one may take. Default 10 s. */
  readonly timeoutMs?: number
}

interface Unproven {
  readonly socket: Socket
  readonly timer: NodeJS.Timeout
}

/**
 * Connections of the agent port that no agent was accepted on yet: the port is open to the network. When there are too many,
 * the address that has most of them loses its oldest, so that one host cannot keep all others out.
 */
export class UnprovenConnections {
  readonly #limit: number
  readonly #timeoutMs: number
  /** By address, then by port. */
  readonly #byAddress = new Map<string, Map<number, Unproven>>()
  #size = 0

  constructor({ limit = 512, timeoutMs = 10_000 }: UnprovenOptions = {}) {
    this.#limit = limit
    this.#timeoutMs = timeoutMs
  }

  /** Connections now. */
  get size(): number {
    return this.#size
  }

  /** A connection was accepted. Returns how many were closed for it. */
  add(socket: Socket): number {
    const { remoteAddress = '', remotePort = 0 } = socket
    const timer = setTimeout(() => socket.destroy(), this.#timeoutMs)
    const ofAddress = this.#byAddress.get(remoteAddress) ?? new Map<number, Unproven>()
    this.#byAddress.set(remoteAddress, ofAddress.set(remotePort, { socket, timer }))
    this.#size += 1
    socket.once('close', () => this.#remove(remoteAddress, remotePort, socket))
    let closed = 0
    for (; this.#size > this.#limit; closed += 1) this.#evict()
    return closed
  }

  /** An agent was accepted on the connection; it may be given as the TLS socket over it. */
  prove({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    this.#remove(remoteAddress, remotePort)
  }

  #remove(address: string, port: number, socket?: Socket): void {
    const ofAddress = this.#byAddress.get(address)
    const found = ofAddress?.get(port)
    // The peer may have used its port again before the end of the first connection was told.
    if (found === undefined || (socket !== undefined && found.socket !== socket)) return
    clearTimeout(found.timer)
    ofAddress?.delete(port)
    if (ofAddress?.size === 0) this.#byAddress.delete(address)
    this.#size -= 1
  }

  #evict(): void {
    let most: Map<number, Unproven> | undefined
    for (const ofAddress of this.#byAddress.values()) if (ofAddress.size > (most?.size ?? 0)) most = ofAddress
    const [port, oldest] = most?.entries().next().value ?? []
    if (oldest === undefined || port === undefined) return
    this.#remove(oldest.socket.remoteAddress ?? '', port)
    oldest.socket.destroy()
  }
}
