import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** The reply to a CONNECT: its status, and the socket that now is the tunnelled connection. */
export interface Connected {
  readonly status: number
  /** Whole reply as text; the body of a failed one included. */
  readonly reply: string
  readonly socket: Socket
}

/**
 * Dials as kube-apiserver in HTTPConnect mode does, and as strictly: bytes that follow the header block in one read
 * are an error.
 */
export async function connectThrough(path: string, address: string): Promise<Connected> {
  const socket = connect({ path, allowHalfOpen: true })
  return connectOn(socket, address)
}

/** As `connectThrough` on a socket of the caller's. */
export async function connectOn(socket: Socket, address: string): Promise<Connected> {
  socket.write(`CONNECT ${address} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
  const reply = await firstRead(socket)
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(reply)?.[1])
  if (status === 200 && !reply.endsWith('\r\n\r\n')) throw new Error(`buffered data after the reply: ${reply}`)
  return { status, reply, socket }
}

function firstRead(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('data', (chunk: Buffer) => {
      socket.pause()
      resolve(chunk.toString())
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed without a reply')))
  })
}
