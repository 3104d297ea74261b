import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** A TCP load balancer on this machine: each connection goes to the next target that listens. */
export class Balancer implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #host: string
  #targets: readonly number[] = []
  #next = 0

  private constructor(host: string) {
    this.#host = host
    this.#server = createServer((client) => this.#relay(client))
  }

  /** Listens at `address`; what comes goes to ports of `host`. */
  static async start(address: string, host: string): Promise<Balancer> {
    const balancer = new Balancer(host)
    await new Promise<void>((resolve) => balancer.#server.listen(0, address, resolve))
    return balancer
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** The ports to choose from, for connections from now on. */
  set targets(ports: readonly number[]) {
    this.#targets = ports
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #relay(client: Socket): void {
    this.#next += 1
    const port = this.#targets[this.#next % this.#targets.length]
    if (port === undefined) {
      client.destroy()
      return
    }
    const target = connect(port, this.#host)
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.once('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  }
}
