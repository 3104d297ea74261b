import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'

/** The end of a dial to an endpoint. */
export type EndpointDial =
  | { readonly kind: 'connected'; readonly socket: Socket }
  | { readonly kind: 'failed'; readonly reason: 'timeout' | 'unknown'; readonly error: string }
  | { readonly kind: 'aborted' }

/** Upstream's dial timeout, seconds 5: an endpoint that does not answer by then is reported as timed out. */
export const ENDPOINT_DIAL_TIMEOUT_MS = 5_000

/** Idle connections are probed by the kernel, so that an endpoint that vanished is noticed. */
const KEEPALIVE_MS = 30_000

/** Connects to `host:port`; names are resolved by this host. Never rejects. */
export function dialEndpoint(address: string, signal: AbortSignal, timeoutMs: number): Promise<EndpointDial> {
  const target = splitAddress(address)
  if (target === undefined) {
    return Promise.resolve({ kind: 'failed', reason: 'unknown', error: `dial tcp: address ${address}: not host:port` })
  }
  if (signal.aborted) return Promise.resolve({ kind: 'aborted' })
  return new Promise((resolve) => {
    const socket = connect({
      ...target,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
    })
    const settle = (result: EndpointDial): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      if (result.kind !== 'connected') {
        // The failed socket may still report its own end.
        socket.on('error', () => undefined)
        socket.destroy()
      }
      resolve(result)
    }
    const onError = (error: Error): void => settle(failure(address, error))
    const onAbort = (): void => settle({ kind: 'aborted' })
    const timer = setTimeout(
      () => settle({ kind: 'failed', reason: 'timeout', error: `dial tcp ${address}: i/o timeout` }),
      timeoutMs,
    )
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', onError)
    socket.once('connect', () => settle({ kind: 'connected', socket }))
  })
}

function splitAddress(address: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<host>[^:]+)):(?<port>\d{1,5})$/.exec(address)
  const host = match?.groups?.['v6'] ?? match?.groups?.['host']
  const port = Number(match?.groups?.['port'])
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port }
}

/** Error texts in the form of Go's net package: servers and users match on them. */
function failure(address: string, error: Error): EndpointDial {
  const texts: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'connect: connection refused',
    EHOSTUNREACH: 'connect: no route to host',
    ENETUNREACH: 'connect: network is unreachable',
    ECONNRESET: 'connect: connection reset by peer',
    ETIMEDOUT: 'connect: connection timed out',
    EMFILE: 'socket: too many open files',
    ENOTFOUND: 'lookup: no such host',
    EAI_AGAIN: 'lookup: temporary failure in name resolution (timeout)',
  }
  const code = errnoCode(error) ?? ''
  return {
    kind: 'failed',
    reason: code === 'ETIMEDOUT' ? 'timeout' : 'unknown',
    error: `dial tcp ${address}: ${texts[code] ?? errorMessage(error)}`,
  }
}
