import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { SilenceError } from '#pkg/nllb/health.ts'
import { afterPatience } from '#pkg/nllb/patience.ts'

/** Where a balanced service listens. */
export interface BackendAddress {
  readonly host: string
  readonly port: number
}

/** A backend that does not complete a TCP handshake by then is given up. */
export const CONNECT_TIMEOUT_MS = 1_000

/** Opens a TCP connection. @throws the reason why it cannot be opened, or that of `signal` */
export function openSocket({ host, port }: BackendAddress, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = connect({
      host,
      port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 15_000,
    })
    const settle = (error: Error | undefined): void => {
      endPatience()
      signal.removeEventListener('abort', onAbort)
      socket.off('error', settle)
      if (error === undefined) {
        resolve(socket)
        return
      }
      socket.on('error', () => undefined).destroy()
      reject(error)
    }
    const onAbort = (): void => settle(signal.reason as Error)
    const endPatience = afterPatience(CONNECT_TIMEOUT_MS, () =>
      settle(new SilenceError(`no TCP handshake within ${CONNECT_TIMEOUT_MS} ms`)),
    )
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', settle)
    socket.once('connect', () => settle(undefined))
  })
}
