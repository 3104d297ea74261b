import { connect } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2'
import { isIP } from 'node:net'
import type { AgentTls, ServerAddress } from '#konnectivity/agent/options.ts'
import {
  http2Settings,
  MAX_SESSION_MEMORY_MB,
  metadata,
  paths,
  SESSION_WINDOW_BYTES,
  STREAMS_FLOW,
} from '#konnectivity/tunnel/protocol.ts'

/** An open control stream and what the server said of itself. */
export interface AgentSession {
  readonly session: ClientHttp2Session
  readonly control: ClientHttp2Stream
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
}

/**
 * Connects, opens AgentService/Connect and waits for the server's headers.
 *
 * @throws the connection's error, the server's refusal, or the reason of `signal`.
 */
export async function openSession(
  address: ServerAddress,
  tls: AgentTls,
  hello: AgentHello,
  signal: AbortSignal,
): Promise<AgentSession> {
  signal.throwIfAborted()
  const session = connect(authority(address), {
    ca: tls.caPem,
    cert: tls.certPem,
    key: tls.keyPem,
    minVersion: 'TLSv1.2',
    settings: http2Settings,
    maxSessionMemory: MAX_SESSION_MEMORY_MB,
    ...(isIP(address.host) === 0 && { servername: address.host }),
  })
  const onAbort = (): void => session.destroy(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await handshake(session, hello)
  } catch (error) {
    session.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function handshake(session: ClientHttp2Session, hello: AgentHello): Promise<AgentSession> {
  return new Promise((resolve, reject) => {
    const fail = (error?: Error): void => reject(error ?? new Error('the server closed the connection'))
    // Later errors are seen by the streams; without a listener they would end the process.
    session.on('error', fail)
    session.once('close', () => fail())
    session.once('connect', () => {
      session.setLocalWindowSize(SESSION_WINDOW_BYTES)
      const control = session.request(helloHeaders(hello), { endStream: false })
      control.on('error', fail)
      control.once('close', () => fail())
      control.once('response', (headers) => {
        const refusal = refusalOf(headers)
        if (refusal !== undefined) {
          fail(refusal)
          return
        }
        resolve({
          session,
          control,
          serverId: String(headers[metadata.serverId] ?? ''),
          serverCount: Number(headers[metadata.serverCount] ?? 1),
          flow: headers[metadata.flow] === STREAMS_FLOW ? 'streams' : 'packets',
        })
      })
    })
  })
}

function helloHeaders({ agentId, identifiers, token }: AgentHello): Record<string, string> {
  return {
    ':method': 'POST',
    ':path': paths.connect,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'k0s-konnectivity-agent',
    [metadata.agentId]: agentId,
    [metadata.agentIdentifiers]: identifiers,
    [metadata.flow]: STREAMS_FLOW,
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  }
}

function refusalOf(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): Error | undefined {
  const status = headers['grpc-status']
  if (headers[':status'] !== 200) return new Error(`the server answered HTTP ${String(headers[':status'])}`)
  if (status === undefined || status === '0') return undefined
  return new Error(`the server refused this agent: ${decodeMessage(String(headers['grpc-message'] ?? status))}`)
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
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
}
