import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { errnoCode, errorMessage, K0sError } from '#pkg/errors/error.ts'

/** What was probed does not serve; the message says what it answered. */
export class ProbeError extends K0sError {
  override readonly code = 'ERR_PROBE'
}

/** How to reach what is probed. */
export interface HttpProbeOptions {
  readonly signal: AbortSignal
  /** PEM of the CA the server's certificate must come from. Without it the certificate is not looked at. */
  readonly ca?: string | undefined
  /** PEM of the client certificate and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** A unix socket to connect to instead of the URL's host. */
  readonly socketPath?: string | undefined
  /** Bearer token. */
  readonly token?: string | undefined
}

/** A reason longer than this is cut: /readyz?verbose lists every check. */
const MAX_REASON_CHARS = 300

/**
 * Resolves when the URL answers with 2xx, with the body.
 *
 * @throws ProbeError with what was answered instead, or why nothing was.
 */
export async function probeHttp(url: string, options: HttpProbeOptions): Promise<string> {
  options.signal.throwIfAborted()
  try {
    const { status, body } = await get(url, options)
    if (status >= 200 && status < 300) return body
    throw new ProbeError(`${url} answered ${status}${reason(body)}`)
  } catch (err) {
    if (err instanceof ProbeError) throw err
    throw new ProbeError(`${url} does not answer: ${describe(err)}`, { cause: err })
  }
}

/** Resolves when a connection to the unix socket opens. @throws ProbeError with the reason it does not. */
export async function probeUnix(path: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  await probeConnect(path, net.connect({ path }), signal)
}

async function probeConnect(target: string, socket: net.Socket, signal: AbortSignal): Promise<void> {
  try {
    await once(socket, 'connect', { signal })
  } catch (err) {
    throw new ProbeError(`${target} does not answer: ${describe(err)}`, { cause: err })
  } finally {
    socket.on('error', () => undefined) // an error after the verdict has no reader
    socket.destroy()
  }
}

async function get(url: string, options: HttpProbeOptions): Promise<{ status: number; body: string }> {
  const { signal, ca, cert, key, socketPath, token } = options
  const request = (url.startsWith('https:') ? https : http).request(url, {
    signal,
    agent: false, // a probe opens a connection of its own: an idle one would hide that nobody accepts any more
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    ...(socketPath !== undefined && { socketPath }),
    ...(url.startsWith('https:') && { rejectUnauthorized: ca !== undefined, ...defined({ ca, cert, key }) }),
  })
  request.end()
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  let body = ''
  response.setEncoding('utf8')
  for await (const chunk of response) body += String(chunk)
  return { status: response.statusCode ?? 0, body }
}

function defined(values: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** What an answer says beside its status, with `: ` before it: the failed checks of /readyz, `[-]etcd failed: reason withheld`. Pure. */
export function reason(body: string): string {
  const lines = body.split('\n').map((line) => line.trim())
  const failed = lines.filter((line) => line.startsWith('[-]'))
  const text = (failed.length > 0 ? failed : lines.filter(Boolean)).join('; ')
  if (text === '') return ''
  return `: ${text.length > MAX_REASON_CHARS ? `${text.slice(0, MAX_REASON_CHARS)}…` : text}`
}

function describe(err: unknown): string {
  switch (errnoCode(err)) {
    case 'ECONNREFUSED':
      return 'connection refused'
    case 'ENOENT':
      return 'no such socket'
    case 'ETIMEDOUT':
    case 'ABORT_ERR':
      return 'no answer in time'
    case 'ECONNRESET':
      return 'connection closed without an answer'
    default:
      return errorMessage(err)
  }
}
