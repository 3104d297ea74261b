import net from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

/** Opens one connection through a tunnel to the endpoint. */
export type Dial = () => Promise<Socket>

const MIB = 2 ** 20
const CHUNK = Buffer.alloc(256 * 1024, 'x')

/**
 * What tunnels lead to. The first letter of a connection says what it wants (download, upload, echo), the number behind it
 * how many bytes; one byte answers that, so that what follows is a message of its own.
 */
export async function startEndpoint(): Promise<{ readonly port: number } & AsyncDisposable> {
  const sockets = new Set<Socket>()
  const server: Server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    socket.once('data', (request: Buffer) => {
      const [, what, bytes] = /^(\w)(\d*)\n/.exec(request.toString('latin1')) ?? []
      socket.write('r')
      if (what === 'd') void write(socket, Number(bytes)).then(() => socket.end())
      else if (what === 'u') void read(socket, Number(bytes)).then(() => socket.end('k'))
      else socket.on('data', (chunk: Buffer) => socket.write(chunk)).on('end', () => socket.end())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 1024, resolve))
  const { port } = server.address() as AddressInfo
  const stop = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return { port, [Symbol.asyncDispose]: stop }
}

/**
 * Moves `mib` over so many connections at once and returns the seconds that it took; `both`: half of the connections in each
 * direction.
 */
export async function transfer(
  dial: Dial,
  direction: 'down' | 'up' | 'both',
  mib: number,
  connections: number,
): Promise<number> {
  const bytes = Math.ceil((mib * MIB) / connections)
  const sockets = await Promise.all(Array.from({ length: connections }, dial))
  const began = performance.now()
  await Promise.all(
    sockets.map(async (socket, i) => {
      if (direction === 'down' || (direction === 'both' && i % 2 === 0)) {
        socket.write(`d${String(bytes)}\n`)
        await read(socket, 1 + bytes)
        return
      }
      await request(socket, `u${String(bytes)}\n`)
      await Promise.all([write(socket, bytes), read(socket, 1)])
    }),
  )
  const seconds = (performance.now() - began) / 1000
  for (const socket of sockets) socket.destroy()
  return seconds
}

/** Dials, has a first byte from the endpoint and closes, so many at a time; dials a second. */
export async function dialRate(dial: Dial, count: number, parallel: number): Promise<number> {
  let left = count
  const began = performance.now()
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const socket = await dial()
      await request(socket, 'e\n')
      socket.destroy()
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  return count / ((performance.now() - began) / 1000)
}

/** Round trips of 64 bytes on one connection, one after the other with a pause between; sorted milliseconds. */
export async function roundTrips(dial: Dial, count: number): Promise<number[]> {
  const socket = await dial()
  await request(socket, 'e\n')
  const times: number[] = []
  for (let i = 0; i < count + 100; i += 1) {
    await sleep(2)
    const began = performance.now()
    await exchange(socket)
    // The first ones warm the way up.
    if (i >= 100) times.push(performance.now() - began)
  }
  socket.destroy()
  return times.sort((a, b) => a - b)
}

function request(socket: Socket, line: string): Promise<void> {
  const answered = read(socket, 1)
  socket.write(line)
  return answered
}

function exchange(socket: Socket): Promise<void> {
  const answered = read(socket, 64)
  socket.write(CHUNK.subarray(0, 64))
  return answered
}

function read(socket: Socket, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = bytes
    const onData = (chunk: Buffer): void => {
      left -= chunk.length
      if (left <= 0) finish(resolve)
    }
    const onEnd = (): void => finish(() => reject(new Error(`connection ended ${String(left)} bytes too early`)))
    const finish = (settle: () => void): void => {
      socket.off('data', onData).off('close', onEnd).off('error', onEnd)
      settle()
    }
    socket.on('data', onData).on('close', onEnd).on('error', onEnd)
    socket.resume()
  })
}

async function write(socket: Socket, bytes: number): Promise<void> {
  for (let left = bytes; left > 0 && !socket.destroyed; left -= CHUNK.length) {
    if (socket.write(left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK)) continue
    await new Promise<void>((resolve) => {
      const go = (): void => {
        socket.off('drain', go).off('close', go)
        resolve()
      }
      socket.on('drain', go).on('close', go)
    })
  }
}
