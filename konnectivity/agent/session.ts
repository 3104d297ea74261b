import { isIP } from 'node:net'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import type { Headers, Http2Duplex } from '#pkg/http2/duplex.ts'
import { Http2Session } from '#pkg/http2/session.ts'
import type { AgentTls, ServerAddress } from '#konnectivity/agent/options.ts'
import type { Buffers } from '#konnectivity/tunnel/buffers.ts'
import { connectionOptions, metadata, paths, STREAMS_FLOW } from '#konnectivity/tunnel/protocol.ts'

/** An open control stream and what the server said of itself. */
export interface AgentSession {
  readonly session: Http2Session
  readonly control: Http2Duplex
  readonly serverId: string
  readonly serverCount: number
  readonly flow: 'streams' | 'packets'
}

/** What the agent says of itself. */
export interface AgentHello {
  readonly agentId: string
  /** URL query. */
  readonly identifiers: string
  readonly token: string | undefined
  /** What to offer. */
  readonly flow: 'streams' | 'packets'
}

/** What the agent brings to a session. */
export interface SessionParts {
  readonly tls: AgentTls
  readonly hello: AgentHello
  readonly buffers: Buffers
}

/**
 * Connects, opens AgentService/Connect and waits for the server's headers.
 *
 * @throws the connection's error, the server's refusal, or the reason of `signal`.
 */
export async function openSession(
  address: ServerAddress,
  { tls, hello, buffers }: SessionParts,
  signal: AbortSignal,
): Promise<AgentSession> {
  signal.throwIfAborted()
  const socket = connect({
    host: address.host,
    port: address.port,
    ca: tls.caPem,
    cert: tls.certPem,
    key: tls.keyPem,
    minVersion: 'TLSv1.2',
    ALPNProtocols: [...(tls.alpnProtocols ?? []), 'h2'],
    ...(isIP(address.host) === 0 && { servername: address.host }),
  })
  socket.setNoDelay(true)
  const session = new Http2Session(socket, connectionOptions('client', buffers.windows))
  const onAbort = (): void => session.destroy(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await handshake(session, authority(address), hello)
  } catch (error) {
    session.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function handshake(session: Http2Session<TLSSocket>, host: string, hello: AgentHello): Promise<AgentSession> {
  return new Promise((resolve, reject) => {
    const fail = (error?: Error): void => reject(error ?? new Error('the server closed the connection'))
    // Later errors are seen by the streams; without a listener they would end the process.
    session.on('error', fail)
    session.once('close', () => fail())
    session.socket.once('secureConnect', () => {
      const control = session.request(helloHeaders(host, hello))
      control.on('error', fail)
      control.once('close', () => fail())
      control.once('response', (headers: Headers) => {
        const refusal = refusalOf(headers)
        if (refusal !== undefined) {
          fail(refusal)
          return
        }
        resolve({
          session,
          control,
          serverId: headers[metadata.serverId] ?? '',
          serverCount: Number(headers[metadata.serverCount] ?? 1),
          flow: headers[metadata.flow] === STREAMS_FLOW ? 'streams' : 'packets',
        })
      })
    })
  })
}

function helloHeaders(host: string, { agentId, identifiers, token, flow }: AgentHello): Record<string, string> {
  return {
    ':method': 'POST',
    ':scheme': 'https',
    ':authority': host,
    ':path': paths.connect,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'k0s-konnectivity-agent',
    [metadata.agentId]: agentId,
    [metadata.agentIdentifiers]: identifiers,
    ...(flow === 'streams' && { [metadata.flow]: STREAMS_FLOW }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  }
}

function refusalOf(headers: Headers): Error | undefined {
  const status = headers['grpc-status']
  if (headers[':status'] !== '200') return new Error(`the server answered HTTP ${String(headers[':status'])}`)
  if (status === undefined || status === '0') return undefined
  return new Error(`the server refused this agent: ${decodeMessage(headers['grpc-message'] ?? status)}`)
}

/** Percent-decodes what a server says; one that does not encode it (a proxy on the way) is quoted as it is. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function authority({ host, port }: ServerAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
