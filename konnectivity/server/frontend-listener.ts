import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import type { ConnectFrontend } from '#konnectivity/server/connect-frontend.ts'
import type { GrpcFrontend } from '#konnectivity/server/grpc-frontend.ts'
import type { EffectiveServerOptions } from '#konnectivity/server/options.ts'
import { closed, listen, listenUnix, TunnelListenError } from '#konnectivity/tunnel/listen.ts'
import type { PortSharing } from '#konnectivity/tunnel/listen.ts'
import { readPem } from '#konnectivity/tunnel/pem.ts'

/** Where kube-apiserver connects: a unix socket, or TCP with client certificates. */
export class FrontendListener {
  readonly #options: EffectiveServerOptions
  readonly #deps: { readonly connect: ConnectFrontend; readonly grpc: GrpcFrontend }
  #close: (() => Promise<void>) | undefined

  constructor(options: EffectiveServerOptions, deps: { connect: ConnectFrontend; grpc: GrpcFrontend }) {
    this.#options = options
    this.#deps = deps
  }

  /** Resolves with the TCP port, if it is one. @throws TunnelListenError, TunnelFileError */
  async open(sharing: PortSharing): Promise<number | undefined> {
    const { udsName, udsGid, deleteExistingUdsFile, serverPort, serverBindAddress } = this.#options
    if (udsName !== undefined) {
      const socket = { path: udsName, gid: udsGid, deleteExisting: deleteExistingUdsFile || sharing === 'successor' }
      const listener = await listenUnix(this.#create(undefined), socket, 'tunnel frontend')
      this.#close = () => listener.close()
      return undefined
    }
    const server = this.#create(await this.#tls())
    const where = { port: serverPort, ...(serverBindAddress !== undefined && { host: serverBindAddress }) }
    await listen(server, { ...where, backlog: 1024 }, 'tunnel frontend', sharing)
    this.#close = () => closed(server)
    return (server.address() as AddressInfo).port
  }

  /** Accepts nothing more; resolves when the last connection has ended. */
  async close(): Promise<void> {
    await this.#close?.()
  }

  #create(tls: TlsOptions | undefined): Server {
    const { connect, grpc } = this.#deps
    const isConnect = this.#options.mode === 'http-connect'
    const serve = isConnect ? connect.serve : grpc.serve
    const options = { allowHalfOpen: isConnect, noDelay: true }
    if (tls === undefined) return createServer(options, serve)
    return createTlsServer({ ...tls, ...options, ...(!isConnect && { ALPNProtocols: ['h2'] }) }, serve)
  }

  async #tls(): Promise<TlsOptions> {
    const { serverCert, serverKey, serverCaCert } = this.#options
    if (serverCert === undefined || serverKey === undefined || serverCaCert === undefined) {
      throw new TunnelListenError(
        'cannot open the frontend over TCP without TLS; give --server-cert, --server-key and --server-ca-cert, or --uds-name',
      )
    }
    const [cert, key, ca] = await Promise.all([
      readPem(serverCert, 'server-cert'),
      readPem(serverKey, 'server-key'),
      readPem(serverCaCert, 'server-ca-cert'),
    ])
    const clients = { requestCert: true, rejectUnauthorized: true, handshakeTimeout: 10_000 }
    return { cert, key, ca, minVersion: 'TLSv1.2', ...clients }
  }
}
