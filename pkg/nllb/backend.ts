import type { Socket } from 'node:net'
import type { Finding, Health } from '#pkg/nllb/health.ts'
import { openSocket, type BackendAddress } from '#pkg/nllb/open-socket.ts'

/** What `status` tells of one backend. */
export interface BackendStatus {
  /** host:port. */
  readonly address: string
  readonly health: Health
  readonly openConnections: number
  /** Why it is not ready. */
  readonly reason: string | undefined
}

/** A client's connection that goes to a backend. */
export interface BackendConnection {
  /** The client waits for an answer for longer than it should. */
  unanswered(now: number): boolean
  destroy(): void
}

/** One backend: its health and its open connections. */
export class Backend {
  readonly address: BackendAddress
  readonly name: string
  readonly connections = new Set<BackendConnection>()
  #health: Health = 'new'
  #reason: string | undefined
  /** Times of performance.now(). When the last finding was asked for; the last one that was `ready`. */
  #askedAt = -Infinity
  #readyAskedAt = -Infinity
  /** When it was last found to be ready, and not to be, after the contrary. */
  #recoveredAt = -Infinity
  #failedAt = -Infinity
  #silences = 0

  constructor(address: BackendAddress) {
    this.address = address
    this.name = backendName(address)
  }

  get health(): Health {
    return this.#health
  }

  /** How often in a row nothing at all answered. */
  get silences(): number {
    return this.#silences
  }

  /**
   * Whether clients of `ill` are better off here: asked after that one failed, this one said that it is ready, and was so all along
   * unless the other one was asked once more since. After what ailed both, one is found to have recovered before the other.
   */
  isBetterThan(ill: Backend): boolean {
    if (this.#health !== 'ready' || this.#readyAskedAt <= ill.#failedAt) return false
    return this.#recoveredAt < Math.max(ill.#failedAt, ill.#askedAt)
  }

  /** Takes note of what was found; `askedAt` is when that began, of performance.now(). */
  note(finding: Finding, askedAt: number): void {
    const now = performance.now()
    const wasIll = this.#health !== 'ready' && this.#health !== 'new'
    if (finding.health === 'ready') {
      this.#readyAskedAt = askedAt
      if (this.#health !== 'ready') this.#recoveredAt = now
    } else if (!wasIll) this.#failedAt = now
    this.#askedAt = askedAt
    this.#silences = finding.health === 'silent' ? this.#silences + 1 : 0
    this.#health = finding.health
    this.#reason = 'reason' in finding ? finding.reason : undefined
  }

  /** Opens a connection. @throws the reason when it cannot */
  async connect(signal: AbortSignal): Promise<Socket> {
    return await openSocket(this.address, signal)
  }

  /** Cuts every connection, so that the clients come back and get another backend. */
  closeConnections(): void {
    for (const connection of this.connections) connection.destroy()
  }

  status(): BackendStatus {
    const { name: address, health } = this
    return { address, health, openConnections: this.connections.size, reason: this.#reason }
  }
}

/** host:port, with brackets around IPv6. */
export function backendName({ host, port }: BackendAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
