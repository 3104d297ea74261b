import net from 'node:net'
import type { Server, Socket } from 'node:net'
import tls from 'node:tls'
import { Connection } from '#pkg/http2/connection.ts'
import type { ConnectionOptions } from '#pkg/http2/options.ts'
import { DEFAULT_MAX_FRAME_BYTES, MAX_WINDOW_BYTES } from '#pkg/http2/protocol.ts'
import type { Http2Stream, StreamListener } from '#pkg/http2/stream.ts'

/** Certificates of a TLS listener; with `caPem`, clients need a certificate of that CA. */
export interface TlsOptions {
  readonly certPem: Buffer
  readonly keyPem: Buffer
  readonly caPem?: Buffer | undefined
}

/** Quiet time after which the kernel asks a TCP peer whether it is still there, milliseconds. */
const KEEP_ALIVE_MS = 60_000
const SOCKET_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS } as const

/** The default window of 64 KiB makes a large put stall. */
const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024
const CONNECTION_OPTIONS: ConnectionOptions = {
  role: 'server',
  streamWindowBytes: RECEIVE_WINDOW_BYTES,
  connectionWindowBytes: RECEIVE_WINDOW_BYTES,
  maxFrameBytes: DEFAULT_MAX_FRAME_BYTES,
  maxStreams: MAX_WINDOW_BYTES,
  maxWaitingBytes: 64 * 1024 * 1024,
}

/** An HTTP/2 server for gRPC (docs/adr/0002-kine-raw-http2.md). */
export class Http2Server {
  /** To listen on. Its `close` event comes once it does not listen and the last connection has ended. */
  readonly server: Server
  readonly #connections = new Map<Connection, Socket>()
  /** Of connections that are closed. */
  #receivedBytes = 0
  #sentBytes = 0

  constructor(certificates: TlsOptions | undefined, onStream: (stream: Http2Stream) => StreamListener) {
    const onSocket = (socket: Socket): void => {
      const connection: Connection = new Connection(socket, CONNECTION_OPTIONS, {
        onStream,
        onClose: () => {
          if (!this.#connections.delete(connection)) return
          this.#receivedBytes += socket.bytesRead
          this.#sentBytes += socket.bytesWritten
        },
      })
      this.#connections.set(connection, socket)
    }
    this.server =
      certificates === undefined
        ? net.createServer(SOCKET_OPTIONS, onSocket)
        : tls.createServer({ ...SOCKET_OPTIONS, ...tlsOptions(certificates) }, onSocket)
  }

  /** Open connections. */
  get connections(): number {
    return this.#connections.size
  }

  /** Bytes of all connections since the start: the sockets count them anyway. */
  get traffic(): { readonly receivedBytes: number; readonly sentBytes: number } {
    let receivedBytes = this.#receivedBytes
    let sentBytes = this.#sentBytes
    for (const socket of this.#connections.values()) {
      receivedBytes += socket.bytesRead
      sentBytes += socket.bytesWritten
    }
    return { receivedBytes, sentBytes }
  }

  /** Listens no more; connections end with the last stream that they have. */
  close(): void {
    this.server.close()
    for (const connection of this.#connections.keys()) connection.close()
  }

  /** Cuts every connection. */
  destroy(): void {
    for (const connection of this.#connections.keys()) connection.destroy()
  }
}

function tlsOptions({ certPem, keyPem, caPem }: TlsOptions): tls.TlsOptions {
  const clients = caPem === undefined ? {} : { ca: caPem, requestCert: true, rejectUnauthorized: true }
  return { cert: certPem, key: keyPem, minVersion: 'TLSv1.2', ALPNProtocols: ['h2'], ...clients }
}
