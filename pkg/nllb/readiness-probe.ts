import { connect, type ClientHttp2Session } from 'node:http2'
import { reason } from '#pkg/net/probe.ts'
import { askReadyz, ping, type Answer } from '#pkg/nllb/readyz.ts'
import { backendName } from '#pkg/nllb/backend.ts'
import { findingOf, SilenceError, type Finding, type HealthProbe } from '#pkg/nllb/health.ts'
import { CONNECT_TIMEOUT_MS, openSocket, type BackendAddress } from '#pkg/nllb/open-socket.ts'
import { withPatience } from '#pkg/nllb/patience.ts'

/** Whom a probe asks as; PEM. */
export interface ProbeCredentials {
  readonly caPem: string
  readonly certPem: string
  readonly keyPem: string
}

/** How a probe reaches its API server. */
export interface ReadinessProbeOptions {
  readonly address: BackendAddress
  /** Asked for each new connection, because certificates are renewed; undefined while there is none. */
  readonly credentials: () => Promise<ProbeCredentials | undefined>
  /** The connection to the server ended, though nobody here ended it: it is worth asking at once. */
  readonly onLost: () => void
}

const UNAUTHORIZED = 401

/**
 * Asks an API server for /readyz over a connection that stays: a question costs it one small request, its end shows at once, and a
 * PING beside the question tells a server that waits for its store from one that does nothing at all
 * (docs/adr/0014-health-of-api-servers.md).
 */
export class ReadinessProbe implements HealthProbe {
  readonly #options: ReadinessProbeOptions
  #session: ClientHttp2Session | undefined

  constructor(options: ReadinessProbeOptions) {
    this.#options = options
  }

  async ask(signal: AbortSignal): Promise<Finding> {
    const isReused = this.#session !== undefined
    const finding = await this.#askOnce(signal)
    // The connection may have been lost since, or its certificate have expired: what counts is what a new one says.
    const again = isReused && this.#session === undefined && finding.health !== 'silent'
    return again ? await this.#askOnce(signal) : finding
  }

  async isThere(signal: AbortSignal): Promise<Finding | undefined> {
    if (this.#session === undefined) return await this.ask(signal)
    try {
      await ping(this.#session, signal)
      return undefined
    } catch (error) {
      this.close()
      signal.throwIfAborted()
      return error instanceof SilenceError ? findingOf(error) : await this.ask(signal)
    }
  }

  close(): void {
    const session = this.#session
    this.#session = undefined
    session?.destroy()
  }

  async #askOnce(signal: AbortSignal): Promise<Finding> {
    try {
      this.#session ??= await this.#connect(signal)
      if (this.#session === undefined) return { health: 'new' }
      return this.#judge(await askReadyz(this.#session, signal))
    } catch (error) {
      this.close()
      signal.throwIfAborted()
      return findingOf(error)
    }
  }

  #judge(answer: Answer): Finding {
    if (answer === 'none in time') return { health: 'unready', reason: '/readyz gives no answer in time' }
    if (answer.status === 200) return { health: 'ready' }
    if (answer.status === UNAUTHORIZED) this.close()
    // Not 401 or 403 either: a server that starts gives them, too, before it has read who may do what.
    return { health: 'unready', reason: `/readyz answered ${answer.status}${reason(answer.body)}` }
  }

  async #connect(signal: AbortSignal): Promise<ClientHttp2Session | undefined> {
    const { address, credentials, onLost } = this.#options
    const found = await credentials()
    if (found === undefined) {
      const socket = await openSocket(address, signal)
      socket.destroy()
      return undefined
    }
    const { caPem: ca, certPem: cert, keyPem: key } = found
    const settings = { enablePush: false }
    const session = connect(`https://${backendName(address)}`, { ca, cert, key, minVersion: 'TLSv1.2', settings })
    session.on('error', () => undefined)
    const forget = (): void => {
      if (this.#session !== session) return
      this.#session = undefined
      onLost()
    }
    session.on('goaway', forget).on('close', forget)
    await connected(session, signal)
    return session
  }
}

/** Resolves once the connection is up, TLS included. @throws why it is not */
async function connected(session: ClientHttp2Session, signal: AbortSignal): Promise<void> {
  const late = (): never => {
    throw new SilenceError(`no connection with TLS within ${CONNECT_TIMEOUT_MS} ms`)
  }
  try {
    await withPatience<undefined>(CONNECT_TIMEOUT_MS, signal, late, (resolve, reject) => {
      const closed = Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' })
      session
        .once('connect', () => resolve(undefined))
        .once('error', reject)
        .once('close', () => reject(closed))
    })
  } catch (error) {
    session.destroy()
    throw error
  }
}
