import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import {
  joinPaths,
  sharedAuthority,
  type CaResponse,
  type EtcdRequest,
  type EtcdResponse,
  type SharedAuthority,
} from '#pkg/api/wire.ts'
import { errnoCode, errorMessage, K0sError } from '#pkg/errors/error.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'

/** A controller cannot join with this token, or not this cluster. Another try does not help. */
export class JoinRefusedError extends K0sError {
  override readonly code = 'ERR_JOIN_REFUSED'
}

/** A controller cannot join at this moment. */
export class JoinDelayedError extends K0sError {
  override readonly code = 'ERR_JOIN_DELAYED'
}

/** What a join token of a controller says. */
export interface JoinClientOptions {
  /** `https://host:9443`. */
  readonly server: string
  /** The one authority that the server's certificate may come from. */
  readonly caPem: string
  /** `id.secret`. */
  readonly token: string
}

const REQUEST_TIMEOUT_MS = 30_000
/** Two authorities with their keys have some 10 kB. */
const MAX_ANSWER_BYTES = 1024 * 1024

/**
 * Asks a controller for what it takes to become one. The token is sent only after the server has shown a certificate of the
 * cluster's authority.
 */
export class JoinClient {
  readonly #options: JoinClientOptions

  constructor(options: JoinClientOptions) {
    this.#options = options
  }

  /** The cluster's authority and service-account keys. @throws JoinRefusedError, JoinDelayedError */
  async authority(signal: AbortSignal): Promise<SharedAuthority> {
    return sharedAuthority((await this.#ask('GET', joinPaths.ca, undefined, signal)) as CaResponse)
  }

  /** Makes this host a learner of etcd. May be repeated. @throws JoinRefusedError, JoinDelayedError */
  async joinEtcd(
    request: EtcdRequest,
    signal: AbortSignal,
  ): Promise<{ readonly authority: SharedAuthority; readonly initialCluster: readonly string[] }> {
    const answer = (await this.#ask('POST', joinPaths.etcdMembers, request, signal)) as EtcdResponse
    return { authority: sharedAuthority(answer.ca), initialCluster: answer.initialCluster }
  }

  async #ask(method: string, path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const { server } = this.#options
    const { status, text } = await withDeadline(signal, REQUEST_TIMEOUT_MS, (inner) =>
      this.#send(method, path, body, inner),
    ).catch((cause: unknown) => {
      signal.throwIfAborted()
      throw cause instanceof K0sError ? cause : connectionError(server, cause)
    })
    if (status === 200) return JSON.parse(text)
    if (status === 401) {
      throw new JoinRefusedError(
        `the controller at ${server} refuses the join token: it has expired, was invalidated, or is not one for controllers; create one with "k0s token create --role controller" on a controller of the cluster`,
      )
    }
    if (status === 404) {
      throw new JoinRefusedError(
        `the controllers at ${server} run no etcd of their own: give this host the same spec.storage as theirs`,
      )
    }
    throw new JoinDelayedError(`the controller at ${server} answers ${String(status)}: ${messageOf(text)}`)
  }

  async #send(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { server, token } = this.#options
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const socket = await this.#connect(signal)
    const request = http.request(new URL(path, server.replace(/^https:/, 'http:')), {
      method,
      signal,
      createConnection: () => socket,
      headers: {
        host: new URL(server).host,
        connection: 'close',
        authorization: `Bearer ${token}`,
        ...(payload !== undefined && {
          'content-type': 'application/json',
          'content-length': String(Buffer.byteLength(payload)),
        }),
      },
    })
    request.end(payload)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const chunks: Buffer[] = []
    let length = 0
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > MAX_ANSWER_BYTES) throw new Error('its answer is too long')
      chunks.push(chunk)
    }
    return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }
  }

  /** Resolves once the server's certificate has been checked; nothing has been written then. */
  async #connect(signal: AbortSignal): Promise<TLSSocket> {
    const { hostname, port } = new URL(this.#options.server)
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    const socket = tls.connect({
      host,
      port: Number(port === '' ? 443 : port),
      ...(isIP(host) === 0 && { servername: host }),
      ca: this.#options.caPem,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
    })
    try {
      await once(socket, 'secureConnect', { signal })
      return socket
    } catch (err) {
      socket.on('error', () => undefined)
      socket.destroy()
      throw err
    }
  }
}

/** A certificate of another authority does not become right by waiting. */
function connectionError(server: string, cause: unknown): K0sError {
  if (/CERT|SIGNATURE|ALTNAME/.test(errnoCode(cause) ?? '')) {
    return new JoinRefusedError(
      `the server at ${server} is not of the cluster that the join token was made for (${errorMessage(cause)}); nothing was sent to it`,
      { cause },
    )
  }
  return new JoinDelayedError(`the controller at ${server} does not answer: ${errorMessage(cause)}`, { cause })
}

function messageOf(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: unknown }).message)
  } catch {
    return text.trim().slice(0, 200)
  }
}
