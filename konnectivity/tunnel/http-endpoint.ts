import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { errorMessage } from '#pkg/errors/error.ts'
import { listen } from '#konnectivity/tunnel/listen.ts'
import type { PortSharing } from '#konnectivity/tunnel/listen.ts'

/** One path of a health or admin endpoint; throwing answers 500 with the message. */
export type Route = (query: URLSearchParams) => Answer

interface Answer {
  readonly status: number
  readonly body: string
  readonly contentType?: string
}

/** A small plain HTTP server for health checks and scrapes. */
export class HttpEndpoint {
  readonly #server: Server
  readonly #what: string

  constructor(what: string, routes: Readonly<Record<string, Route>>) {
    this.#what = what
    this.#server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
      const { status, body, contentType = 'text/plain; charset=utf-8' } = answer(request, routes)
      response.writeHead(status, { 'content-type': contentType }).end(body)
    })
  }

  /** Binds; resolves with the port, which differs from `port` when that was 0. @throws TunnelListenError */
  async start(host: string, port: number, sharing: PortSharing = 'none'): Promise<number> {
    await listen(this.#server, { host, port }, this.#what, sharing)
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

/** Never throws: whoever reaches the port could otherwise end the process with one request. */
function answer({ method, url = '/' }: IncomingMessage, routes: Readonly<Record<string, Route>>): Answer {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET\n' }
  // Not the URL class, which throws for what is no URL (`//`); `url` may also be absolute, which no client of ours sends.
  const [path = '', query = ''] = url.split('?', 2)
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined
  if (route === undefined) return { status: 404, body: 'not found\n' }
  try {
    return route(new URLSearchParams(query))
  } catch (err) {
    return { status: 500, body: `${errorMessage(err)}\n` }
  }
}
