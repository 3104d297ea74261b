import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** A relay between two peers that can fail the way networks do. */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #frozen = false

  private constructor(server: Server) {
    this.#server = server
  }

  /** Relays a free loopback port to the targets in turn: with several it is a load balancer. */
  static async start(...targetPorts: readonly number[]): Promise<TcpProxy> {
    let turn = 0
    const next = (): number => targetPorts[turn++ % targetPorts.length] as number
    const server = createServer((client) => proxy.#relay(client, connect(next(), '127.0.0.1')))
    const proxy = new TcpProxy(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Resets every connection, as a killed peer does. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** From now on nothing passes and nothing is closed: a black hole. */
  freeze(): void {
    this.#frozen = true
    for (const socket of this.#sockets) socket.pause()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #relay(...pair: [Socket, Socket]): void {
    for (const [i, socket] of pair.entries()) {
      const other = pair[1 - i] as Socket
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => {
        this.#sockets.delete(socket)
        if (!this.#frozen) other.destroy()
      })
      socket.on('data', (chunk) => {
        if (!this.#frozen) other.write(chunk)
      })
    }
  }
}
