import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** Where a balanced service listens. */
export interface BackendAddress {
  readonly host: string
  readonly port: number
}

/** What `status` tells of one backend. */
export interface BackendStatus {
  /** host:port. */
  readonly address: string
  readonly healthy: boolean
  readonly openConnections: number
  /** Why it was last taken for dead. */
  readonly lastError: string | undefined
}

/** A backend that does not complete a TCP handshake by then is taken for dead. */
const CONNECT_TIMEOUT_MS = 1_000

/** One backend: its health and its open connections. */
export class Backend {
  readonly address: BackendAddress
  readonly name: string
  /** Set by the outcome of connects and probes. */
  healthy = true
  lastError: string | undefined
  /** Both sockets of each connection that goes to this backend. */
  readonly connections = new Set<{ destroy(): void }>()

  constructor(address: BackendAddress) {
    this.address = address
    this.name = backendName(address)
  }

  /** Opens a connection and takes note of the outcome. @throws the reason when it cannot */
  async connect(signal: AbortSignal): Promise<Socket> {
    try {
      const socket = await openSocket(this.address, signal)
      this.healthy = true
      return socket
    } catch (error) {
      if (!signal.aborted) this.markDead(error as Error)
      throw error
    }
  }

  /** The backend does not answer: choose others until a probe succeeds. */
  markDead(error: Error): void {
    this.healthy = false
    this.lastError = error.message
  }

  /** Cuts every connection, so that the clients come back and get another backend. */
  closeConnections(): void {
    for (const connection of this.connections) connection.destroy()
  }

  status(): BackendStatus {
    const { name: address, healthy, lastError } = this
    return { address, healthy, openConnections: this.connections.size, lastError }
  }
}

/** host:port, with brackets around IPv6. */
export function backendName({ host, port }: BackendAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function openSocket({ host, port }: BackendAddress, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = connect({
      host,
      port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 15_000,
    })
    const settle = (error: Error | undefined): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      socket.off('error', settle)
      if (error === undefined) {
        resolve(socket)
        return
      }
      socket.on('error', () => undefined).destroy()
      reject(error)
    }
    const onAbort = (): void => settle(signal.reason as Error)
    const timer = setTimeout(
      () => settle(new Error(`no TCP handshake within ${CONNECT_TIMEOUT_MS} ms`)),
      CONNECT_TIMEOUT_MS,
    )
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', settle)
    socket.once('connect', () => settle(undefined))
  })
}
