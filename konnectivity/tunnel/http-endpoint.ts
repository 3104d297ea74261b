import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listen } from '#konnectivity/tunnel/listen.ts'

/** One path of a health or admin endpoint; throwing answers 500 with the message. */
export type Route = () => { readonly status: number; readonly body: string; readonly contentType?: string }

/** A small plain HTTP server for health checks and scrapes. */
export class HttpEndpoint {
  readonly #server: Server
  readonly #what: string

  constructor(what: string, routes: Readonly<Record<string, Route>>) {
    this.#what = what
    this.#server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
      const route = routes[new URL(request.url ?? '/', 'http://localhost').pathname]
      if (request.method !== 'GET' && request.method !== 'HEAD') response.writeHead(405).end('only GET\n')
      else if (route === undefined) response.writeHead(404).end('not found\n')
      else {
        const { status, body, contentType = 'text/plain; charset=utf-8' } = route()
        response.writeHead(status, { 'content-type': contentType }).end(body)
      }
    })
  }

  /** Binds; resolves with the port, which differs from `port` when that was 0. @throws TunnelListenError */
  async start(host: string, port: number): Promise<number> {
    await listen(this.#server, { host, port }, this.#what)
    return (this.#server.address() as AddressInfo).port
  }

  /** Closes the listener and every connection. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
  }
}
