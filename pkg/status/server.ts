import { once } from 'node:events'
import { chmod, rm, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import { modes } from '#pkg/constant/files.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { asFileError, FileError } from '#pkg/file/errors.ts'
import type { Logger } from '#pkg/log/logger.ts'
import type {
  ComponentReport,
  ComponentsInfo,
  ComponentSummary,
  StatusInfo,
  StatusProvider,
  StopAnswer,
} from '#pkg/status/types.ts'

/** Only root and the user of the process may ask: the answer names every path and argument. */
const SOCKET_MODE = 0o600
/** sun_path of unix(7) has 108 bytes, the last one NUL. */
const MAX_SOCKET_PATH_BYTES = 107
/** k0s's default of `maxCount`. */
const DEFAULT_MAX_COUNT = 5

/** How long answers under way may take when the server stops, milliseconds. */
const CLOSE_GRACE_MS = 1_000

/** A running status server. */
export interface StatusServer extends AsyncDisposable {
  /** Closes the socket and removes its file. */
  stop(): Promise<void>
}

/**
 * Answers `GET /status`, `GET /components?maxCount=N` and `POST /stop` over HTTP on a unix socket. The caller holds the
 * node's lock, so a socket file that is there belongs to nobody and is replaced.
 *
 * @throws FileError when the socket cannot be made.
 */
export async function startStatusServer(
  { socketPath }: { readonly socketPath: string },
  provider: StatusProvider,
  { log }: { readonly log: Logger },
): Promise<StatusServer> {
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
    const cause = new Error(`a socket's path has at most ${MAX_SOCKET_PATH_BYTES} bytes; use --status-socket`)
    throw new FileError('listen on', socketPath, { cause })
  }
  await ensureParent(dirname(socketPath))
  const server = createServer((request, response) => void handle(request, response, provider, log))
  await asFileError('listen on', socketPath, async () => {
    await rm(socketPath, { force: true })
    server.listen(socketPath)
    await once(server, 'listening')
    await chmod(socketPath, SOCKET_MODE)
  })
  const stop = (): Promise<void> => close(server)
  return { stop, [Symbol.asyncDispose]: stop }
}

/** A directory that is there keeps its mode: --status-socket may name one that is everybody's, such as /tmp. */
async function ensureParent(path: string): Promise<void> {
  const there = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!there) await ensureDir(path, { mode: modes.runDir })
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  provider: StatusProvider,
  log: Logger,
): Promise<void> {
  try {
    const { status, body } = await answer(request, provider)
    reply(response, status, body)
  } catch (err) {
    log.error('cannot answer at the status socket', { err })
    reply(response, 500, { message: errorMessage(err) })
  }
}

async function answer(request: IncomingMessage, provider: StatusProvider): Promise<{ status: number; body: unknown }> {
  const url = new URL(request.url ?? '/', 'http://localhost')
  switch (`${request.method ?? ''} ${url.pathname}`) {
    case 'GET /status':
      return { status: 200, body: await statusInfo(provider) }
    case 'GET /components':
      return { status: 200, body: componentsInfo(provider.components(), maxCount(url)) }
    case 'POST /stop': {
      provider.stop()
      return { status: 202, body: { pid: process.pid } satisfies StopAnswer }
    }
    default:
      return { status: 404, body: { message: 'ask GET /status, GET /components?maxCount=N or POST /stop' } }
  }
}

async function statusInfo(provider: StatusProvider): Promise<StatusInfo> {
  return { ...(await provider.status()), Components: summaries(provider.components()) }
}

/** The reports without their history. */
export function summaries(reports: readonly ComponentReport[]): readonly ComponentSummary[] {
  return reports.map(({ name, state, waitingFor, reason, since, restarts, warnings }) => ({
    name,
    state,
    waitingFor,
    ...(reason !== undefined && { reason }),
    since,
    ...(restarts !== undefined && { restarts }),
    ...(warnings !== undefined && { warnings }),
  }))
}

/** The reports in the shape of k0s, with the newest `count` events of each component. */
export function componentsInfo(reports: readonly ComponentReport[], count: number): ComponentsInfo {
  const probed = reports.filter(({ probedAt }) => probedAt !== undefined)
  return {
    healthProbes: Object.fromEntries(
      probed.map(({ name, probedAt, state, reason }) => {
        const error = state === 'ready' ? null : (reason ?? state)
        return [name, [{ component: name, at: probedAt ?? '', error }]]
      }),
    ),
    events: Object.fromEntries(
      reports.map(({ name, events }) => [
        name,
        (count === 0 ? [] : events.slice(-count)).map(({ at, ...payload }) => ({ at, payload })),
      ]),
    ),
  }
}

function maxCount(url: URL): number {
  const text = url.searchParams.get('maxCount') ?? ''
  return /^\d{1,4}$/.test(text) ? Number(text) : DEFAULT_MAX_COUNT
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  const text = `${JSON.stringify(body)}\n`
  // No keep-alive: clients are short-lived commands, and an idle connection would delay the stop.
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' }).end(text)
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close() // removes the socket's file too
  // A client that asks nothing or reads nothing does not delay the stop of the node.
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS)
  try {
    await closed
  } finally {
    clearTimeout(timer)
  }
}
