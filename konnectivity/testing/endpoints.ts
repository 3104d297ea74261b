import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** A TCP endpoint behind an agent. */
export interface Endpoint extends AsyncDisposable {
  readonly address: string
  readonly sockets: ReadonlySet<Socket>
}

/** Listens on loopback; `serve` gets each connection (half-open allowed). */
export async function startEndpoint(serve: (socket: Socket) => void): Promise<Endpoint> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Sends back what it gets; ends when the peer ends. */
export const echo = (socket: Socket): void => void socket.pipe(socket)

/** Writes `total` random bytes in chunks of 1 byte to 256 KiB and returns their hash; does not end the stream. */
export async function writeRandom(stream: Duplex, total: number): Promise<string> {
  const hash = createHash('sha256')
  const pool = randomBytes(512 * 1024)
  for (let sent = 0; sent < total;) {
    const size = Math.min(total - sent, 1 + Math.floor(Math.random() ** 2 * 256 * 1024))
    const start = Math.floor(Math.random() * (pool.length - size))
    const chunk = Buffer.from(pool.subarray(start, start + size))
    hash.update(chunk)
    sent += size
    if (!stream.write(chunk)) await new Promise<void>((resolve) => stream.once('drain', resolve))
  }
  return hash.digest('hex')
}

/** Reads `total` bytes and returns their hash. @throws when the stream ends or fails before */
export function readHash(stream: Duplex, total: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256')
    let received = 0
    const onData = (chunk: Buffer): void => {
      hash.update(chunk)
      received += chunk.length
      if (received < total) return
      stream.off('data', onData)
      resolve(hash.digest('hex'))
    }
    stream.on('data', onData)
    stream.once('error', reject)
    const onEnd = (): void => reject(new Error(`ended after ${received} of ${total} bytes`))
    stream.once('end', onEnd).once('close', onEnd)
    stream.resume()
  })
}
