import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { RefusalLimit, type RefusalLimitOptions } from '#pkg/api/refusal-limit.ts'
import { RefusalLog } from '#pkg/api/refusal-log.ts'
import {
  caResponse,
  joinPaths,
  MAX_BODY_BYTES,
  parseEtcdRequest,
  type EtcdRequest,
  type EtcdResponse,
  type SharedAuthority,
} from '#pkg/api/wire.ts'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** The join API cannot listen. */
export class JoinApiListenError extends K0sError {
  override readonly code = 'ERR_JOIN_API_LISTEN'
}

/** Where it listens, and as whom. */
export interface JoinApiOptions {
  /** Undefined: every address. */
  readonly host?: string | undefined
  readonly port: number
  readonly certPem: string
  readonly keyPem: string
  readonly refusalLimit?: RefusalLimitOptions
}

/** What it decides and answers with. */
export interface JoinApiDeps {
  /** Judges `id.secret` as a token of controllers; the reason stays in the log. @throws when nobody can tell now */
  readonly checkToken: (
    token: string,
    signal: AbortSignal,
  ) => Promise<{ readonly valid: true; readonly id: string } | { readonly valid: false; readonly reason: string }>
  /** The cluster's authority and service-account keys. */
  readonly authority: SharedAuthority
  /** Makes a host a member of etcd; absent when the controllers run none. @throws K0sError to be shown to the host */
  readonly joinEtcd?: ((request: EtcdRequest) => Promise<EtcdResponse>) | undefined
  readonly log: Logger
}

/** Controllers are few; this many connections at once are somebody else's. */
const MAX_CONNECTIONS = 64
const REQUEST_TIMEOUT_MS = 15_000

/**
 * The API by which a controller joins. A refusal is 401 "go away" whatever its reason, which is logged; a host that may join but
 * not now is told why (503).
 *
 * @throws JoinApiListenError
 */
export async function startJoinApi(
  options: JoinApiOptions,
  deps: JoinApiDeps,
): Promise<AsyncDisposable & { readonly port: number }> {
  const { host, port, certPem, keyPem } = options
  const limit = new RefusalLimit(options.refusalLimit)
  const refusals = new RefusalLog(deps.log)
  const server = https.createServer(
    {
      cert: certPem,
      key: keyPem,
      minVersion: 'TLSv1.2',
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      handshakeTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: 1_000,
    },
    (request, response) => void serve(request, response, { ...deps, limit, refusals }),
  )
  server.maxConnections = MAX_CONNECTIONS
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (cause) {
    const where = host === undefined ? `port ${String(port)}` : `${host}:${String(port)}`
    throw new JoinApiListenError(
      `the join API cannot listen on ${where}: ${errorMessage(cause)}; stop the program that holds it, or set spec.api.k0sApiPort`,
      { cause },
    )
  }
  server.on('error', (err) => deps.log.warn('join API', { err: errorMessage(err) }))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      refusals[Symbol.dispose]()
    },
  }
}

interface Serving extends JoinApiDeps {
  readonly limit: RefusalLimit
  readonly refusals: RefusalLog
}

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

const goAway: Answer = { status: 401, body: 'go away' }

async function serve(request: IncomingMessage, response: ServerResponse, serving: Serving): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort(new Error('the host is gone')))
  const { status, body, headers } = await answer(request, serving, gone.signal).catch((err: unknown) => {
    if (!gone.signal.aborted) serving.log.error('join request failed', { ...describe(request), err: errorMessage(err) })
    return { status: 500, body: 'internal error', headers: {} }
  })
  const isText = typeof body === 'string'
  response.writeHead(status, {
    'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json',
    'cache-control': 'no-store',
    // What is left of an unread body must not be taken for the next request.
    connection: 'close',
    ...headers,
  })
  response.end(isText ? `${body}\n` : JSON.stringify(body))
}

async function answer(request: IncomingMessage, serving: Serving, signal: AbortSignal): Promise<Answer> {
  const path = request.url?.split('?')[0]
  if (request.method === 'GET' && path === '/healthz') return { status: 200, body: 'ok' }
  const identity = await authenticate(request, serving, signal)
  if ('status' in identity) return identity
  const fields = { ...describe(request), token: identity.token }
  if (request.method === 'GET' && path === joinPaths.ca) {
    serving.log.info('authorities handed to a joining controller', fields)
    return { status: 200, body: caResponse(serving.authority) }
  }
  if (request.method === 'POST' && path === joinPaths.etcdMembers && serving.joinEtcd !== undefined) {
    return joinEtcd(request, serving.joinEtcd, { log: serving.log, fields })
  }
  serving.log.info('join request to an unknown path', { ...fields, path: path?.slice(0, 100) })
  return { status: 404, body: 'not found' }
}

/** The token that a request may act with, or what to answer it. */
async function authenticate(
  request: IncomingMessage,
  { checkToken, limit, refusals }: Serving,
  signal: AbortSignal,
): Promise<Answer | { readonly token: string }> {
  const address = request.socket.remoteAddress ?? ''
  const blockedMs = limit.blockedMs(address)
  if (blockedMs > 0) {
    refusals.refused(address, 'too many refusals of this source')
    const retryAfter = String(Math.ceil(blockedMs / 1_000))
    return { status: 429, body: 'go away', headers: { 'retry-after': retryAfter } }
  }
  const refuse = (reason: string): Answer => {
    limit.refuse(address)
    refusals.refused(address, reason)
    return goAway
  }
  const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined) return refuse('no bearer token')
  try {
    const verdict = await checkToken(token, signal)
    return verdict.valid ? { token: verdict.id } : refuse(verdict.reason)
  } catch (err) {
    refusals.refused(address, `the token cannot be checked now: ${errorMessage(err)}`)
    return { status: 503, body: { message: 'the token cannot be checked now' }, headers: { 'retry-after': '1' } }
  }
}

async function joinEtcd(
  request: IncomingMessage,
  join: (request: EtcdRequest) => Promise<EtcdResponse>,
  { log, fields }: { readonly log: Logger; readonly fields: object },
): Promise<Answer> {
  const parsed = parseEtcdRequest(await readBody(request))
  if (parsed === undefined) return { status: 400, body: { message: 'node and peerAddress are needed' } }
  try {
    const body = await join(parsed)
    log.info('controller joins etcd', { ...fields, ...parsed })
    return { status: 200, body }
  } catch (err) {
    if (!(err instanceof K0sError)) throw err
    log.warn('controller cannot join etcd now', { ...fields, ...parsed, reason: err.message })
    return { status: 503, body: { message: err.message }, headers: { 'retry-after': '1' } }
  }
}

/** Empty when it is too long. */
async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_BODY_BYTES) return ''
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function describe(request: IncomingMessage): { readonly source: string } {
  return { source: request.socket.remoteAddress ?? '' }
}
