import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { errnoCode, errorMessage, K0sError } from '#pkg/errors/error.ts'
import { FileError } from '#pkg/file/errors.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { NoAnswerError, NotRunningError, StatusRequestError } from '#pkg/status/errors.ts'
import type { ComponentsInfo, StatusInfo, StopAnswer } from '#pkg/status/types.ts'

/** The supervisor answers from memory: longer than this means that it hangs. */
const REQUEST_TIMEOUT_MS = 10_000

/** Asks the supervisor that listens on a status socket. */
export interface StatusClient {
  readonly socketPath: string
  /** @throws NotRunningError, StatusRequestError, FileError (permission) */
  get(options?: { readonly signal?: AbortSignal }): Promise<StatusInfo>
  /** `maxCount`: newest events of each component, default 5. */
  components(options?: { readonly maxCount?: number; readonly signal?: AbortSignal }): Promise<ComponentsInfo>
  /** Asks the supervisor to stop; resolves with its PID as soon as it has agreed. */
  stop(options?: { readonly signal?: AbortSignal }): Promise<StopAnswer>
}

/** A client; nothing is opened before it is asked. */
export function statusClient(socketPath: string): StatusClient {
  const ask = <T>(method: string, path: string, signal: AbortSignal | undefined): Promise<T> =>
    withDeadline(signal, REQUEST_TIMEOUT_MS, (deadline) => request<T>(socketPath, method, path, deadline))
  return {
    socketPath,
    get: async ({ signal } = {}) => {
      const status = await ask<Partial<StatusInfo>>('GET', '/status', signal)
      if (typeof status.Pid !== 'number' || !Array.isArray(status.Components)) {
        throw new StatusRequestError(`what answers at ${socketPath} is not k0s of this version; check --status-socket`)
      }
      return status as StatusInfo
    },
    components: ({ maxCount = 5, signal } = {}) => ask('GET', `/components?maxCount=${maxCount}`, signal),
    stop: ({ signal } = {}) => ask('POST', '/stop', signal),
  }
}

async function request<T>(socketPath: string, method: string, path: string, signal: AbortSignal): Promise<T> {
  try {
    const outgoing = httpRequest({ socketPath, method, path, signal, agent: false })
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    let body = ''
    response.setEncoding('utf8')
    for await (const chunk of response) body += String(chunk)
    if (response.statusCode !== 200 && response.statusCode !== 202) {
      throw new StatusRequestError(
        `${socketPath} answered ${method} ${path} with ${response.statusCode ?? 0}: ${body.trim()}`,
      )
    }
    return JSON.parse(body) as T
  } catch (err) {
    throw clientError(err, socketPath)
  }
}

function clientError(err: unknown, socketPath: string): K0sError {
  if (err instanceof K0sError) return err
  switch (errnoCode(err)) {
    case 'ENOENT':
    case 'ECONNREFUSED':
    case 'ECONNRESET': // it stopped while it was asked
      return new NotRunningError(socketPath, { cause: err })
    case 'EACCES':
    case 'EPERM':
      return new FileError('connect to', socketPath, { cause: err })
    case 'ABORT_ERR':
      return new NoAnswerError(`no answer at ${socketPath} within ${REQUEST_TIMEOUT_MS / 1000} s`, { cause: err })
    default:
      return new StatusRequestError(`no usable answer at ${socketPath}: ${errorMessage(err)}`, { cause: err })
  }
}
