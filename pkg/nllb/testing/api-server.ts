import { once } from 'node:events'
import { createSecureServer, type Http2SecureServer, type Http2ServerRequest, type ServerHttp2Stream } from 'node:http2'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import type { BackendAddress } from '#pkg/nllb/open-socket.ts'
import type { ProbeCredentials } from '#pkg/nllb/readiness-probe.ts'

const validForMs = 3_600_000
const ca = createCa({ commonName: 'kubernetes-ca', validForMs })
const serving = issueCertificate(ca, { commonName: 'kubernetes', ips: ['127.0.0.1'], usages: ['server'], validForMs })

/** What a client of the servers below needs, by user name; with the authority of another cluster if asked for. */
export function clientCredentials(commonName: string, { foreign = false } = {}): ProbeCredentials {
  const issued = issueCertificate(ca, { commonName, usages: ['client'], validForMs })
  return { caPem: foreign ? createCa({ commonName: 'other', validForMs }).certPem : ca.certPem, ...issued }
}

/** What the server says to GET /readyz; `nothing`: it takes the request and gives no answer. */
export type Readyz = { readonly status: number; readonly body?: string } | 'nothing'

/** A server as kube-apiserver is one to its balancer: TLS with client certificates, HTTP/2, /readyz; and its name at /name. */
export class TestApiServer implements AsyncDisposable {
  readyz: (user: string) => Readyz = () => ({ status: 200, body: 'ok' })
  /** Connections with TLS since it was made. */
  handshakes = 0
  readonly #name: string
  readonly #inner: Http2SecureServer
  /** In front, so that a process that stands still can be shown: the kernel goes on to accept and to acknowledge for it. */
  readonly #outer: Server
  readonly #pairs = new Map<Socket, Socket>()
  #isFrozen = false

  constructor(name = 'a') {
    this.#name = name
    this.#inner = createSecureServer({
      cert: serving.certPem,
      key: serving.keyPem,
      ca: ca.certPem,
      requestCert: true,
      rejectUnauthorized: true,
    })
    this.#inner.on('session', () => (this.handshakes += 1)).on('sessionError', () => undefined)
    this.#inner.on('request', ({ url, stream }: Http2ServerRequest) => this.#serve(url, stream))
    this.#outer = createServer((client) => this.#accept(client))
  }

  async start(port = 0): Promise<this> {
    this.#inner.listen(0, '127.0.0.1')
    await once(this.#inner, 'listening')
    this.#outer.listen(port, '127.0.0.1')
    await once(this.#outer, 'listening')
    return this
  }

  get address(): BackendAddress {
    return { host: '127.0.0.1', port: (this.#outer.address() as AddressInfo).port }
  }

  /** As SIGSTOP: connections are taken, and nothing is answered. */
  freeze(): void {
    this.#isFrozen = true
    for (const [client, server] of this.#pairs) client.unpipe(server).pause()
    for (const [client, server] of this.#pairs) server.unpipe(client).pause()
  }

  /** As SIGCONT. */
  thaw(): void {
    this.#isFrozen = false
    for (const [client, server] of this.#pairs) client.pipe(server).pipe(client)
  }

  /** As SIGKILL: the port is closed, connections end. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = [this.#inner, this.#outer].filter(({ listening }) => listening).map((each) => once(each, 'close'))
    this.#inner.close()
    this.#outer.close()
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy()
      server.destroy()
    }
    await Promise.all(closed)
  }

  #accept(client: Socket): void {
    const server = connect((this.#inner.address() as AddressInfo).port, '127.0.0.1')
    this.#pairs.set(client, server)
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one
        .on('error', () => undefined)
        .once('close', () => {
          this.#pairs.delete(client)
          other.destroy()
        })
    }
    if (!this.#isFrozen) client.pipe(server).pipe(client)
  }

  #serve(url: string, stream: ServerHttp2Stream): void {
    stream.on('error', () => undefined)
    if (url === '/name') {
      stream.respond({ ':status': 200 })
      stream.end(this.#name)
      return
    }
    const { subject } = (stream.session?.socket as TLSSocket).getPeerCertificate()
    const answer = this.readyz(String(subject.CN))
    if (answer === 'nothing') return
    stream.respond({ ':status': answer.status })
    stream.end(answer.body ?? '')
  }
}
