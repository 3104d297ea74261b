import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { findingOf, type Finding, type HealthProbe } from '#pkg/nllb/health.ts'
import { openSocket, type BackendAddress } from '#pkg/nllb/open-socket.ts'

/** A TCP server that says its name, then sends back what it gets. */
export class EchoServer implements AsyncDisposable {
  readonly sockets = new Set<Socket>()
  readonly #server: Server

  constructor(name: string) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.sockets.add(socket.on('error', () => undefined))
      socket.once('close', () => this.sockets.delete(socket))
      socket.write(name)
      socket.pipe(socket)
    })
  }

  async start(port = 0): Promise<this> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get address(): BackendAddress {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port }
  }

  /** Refuses new connections and cuts open ones, as a killed process does. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined
    this.#server.close()
    for (const socket of this.sockets) socket.resetAndDestroy()
    await closed
  }
}

/** Takes for ready what accepts a connection: for servers that have no other answer. */
export class ConnectProbe implements HealthProbe {
  readonly #address: BackendAddress

  constructor(address: BackendAddress) {
    this.#address = address
  }

  async ask(signal: AbortSignal): Promise<Finding> {
    try {
      const socket = await openSocket(this.#address, signal)
      socket.destroy()
      return { health: 'ready' }
    } catch (error) {
      signal.throwIfAborted()
      return findingOf(error)
    }
  }

  isThere(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  close(): void {
    // Each question has a connection of its own.
  }
}
