import { createServer } from 'node:net'
import type { AddressInfo, Server, ServerOpts } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { SecureContextOptions, Server as TlsServer, TlsOptions } from 'node:tls'
import type { Logger } from '#pkg/log/logger.ts'
import type { ConnectFrontend } from '#konnectivity/server/connect-frontend.ts'
import type { GrpcFrontend } from '#konnectivity/server/grpc-frontend.ts'
import type { EffectiveServerOptions } from '#konnectivity/server/options.ts'
import { TlsFiles } from '#konnectivity/server/tls-files.ts'
import { closed, listen, listenUnix, TunnelListenError } from '#konnectivity/tunnel/listen.ts'
import type { PortSharing } from '#konnectivity/tunnel/listen.ts'

/** Collaborators of the listener. */
export interface FrontendListenerDeps {
  readonly connect: ConnectFrontend
  readonly grpc: GrpcFrontend
  readonly log: Logger
}

const HANDSHAKE_TIMEOUT_MS = 10_000

/** Where kube-apiserver connects: a unix socket, or TCP with client certificates. */
export class FrontendListener {
  readonly #options: EffectiveServerOptions
  readonly #deps: FrontendListenerDeps
  #files: TlsFiles | undefined
  #close: (() => Promise<void>) | undefined

  constructor(options: EffectiveServerOptions, deps: FrontendListenerDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** Resolves with the TCP port, if it is one. @throws TunnelListenError, TunnelFileError */
  async open(sharing: PortSharing): Promise<number | undefined> {
    const { udsName, udsGid, deleteExistingUdsFile, serverPort, serverBindAddress } = this.#options
    if (udsName !== undefined) {
      const socket = { path: udsName, gid: udsGid, deleteExisting: deleteExistingUdsFile || sharing === 'successor' }
      const listener = await listenUnix(this.#create(), socket, 'tunnel frontend')
      this.#close = () => listener.close()
      return undefined
    }
    this.#files = this.#tlsFiles()
    const server = this.#createTls(await this.#files.read())
    const where = { port: serverPort, ...(serverBindAddress !== undefined && { host: serverBindAddress }) }
    await listen(server, { ...where, backlog: 1024 }, 'tunnel frontend', sharing)
    this.#files.follow(server)
    this.#close = () => closed(server)
    return (server.address() as AddressInfo).port
  }

  /** Accepts nothing more; resolves when the last connection has ended. */
  async close(): Promise<void> {
    this.#files?.stop()
    await this.#close?.()
  }

  #create(): Server {
    const { connect, grpc } = this.#deps
    const isConnect = this.#options.mode === 'http-connect'
    return createServer({ allowHalfOpen: isConnect, noDelay: true }, isConnect ? connect.serve : grpc.serve)
  }

  #createTls(context: SecureContextOptions): TlsServer {
    const { connect, grpc } = this.#deps
    const isConnect = this.#options.mode === 'http-connect'
    const options: TlsOptions & ServerOpts = {
      ...context,
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      allowHalfOpen: isConnect,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: this.#options.frontendKeepaliveMs,
      ...(!isConnect && { ALPNProtocols: ['h2'] }),
    }
    return createTlsServer(options, isConnect ? connect.serve : grpc.serve)
  }

  #tlsFiles(): TlsFiles {
    const { serverCert, serverKey, serverCaCert, tlsMinVersion: minVersion, ciphers } = this.#options
    if (serverCert === undefined || serverKey === undefined || serverCaCert === undefined) {
      throw new TunnelListenError(
        'cannot open the frontend over TCP without TLS; give --server-cert, --server-key and --server-ca-cert, or --uds-name',
      )
    }
    const files = {
      cert: { path: serverCert, flag: 'server-cert' },
      key: { path: serverKey, flag: 'server-key' },
      ca: { path: serverCaCert, flag: 'server-ca-cert' },
    }
    return new TlsFiles({ ...files, minVersion, ciphers }, { log: this.#deps.log })
  }
}
