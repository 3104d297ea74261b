import { existsSync, rmSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { Connection } from '#pkg/kine/dialect/sqlite/connection.ts'
import type {
  CallName,
  Handlers,
  ReplyMessage,
  RequestMessage,
  WorkerSettings,
} from '#pkg/kine/dialect/sqlite/protocol.ts'
import { ReaderConnection } from '#pkg/kine/dialect/sqlite/reader-connection.ts'
import { checkReadable, configure } from '#pkg/kine/dialect/sqlite/schema.ts'
import { readState } from '#pkg/kine/dialect/sqlite/state.ts'
import { UpstreamReader } from '#pkg/kine/dialect/sqlite/upstream-reader.ts'
import { WriterConnection } from '#pkg/kine/dialect/sqlite/writer-connection.ts'

/** How long a statement waits for a lock of the other connection (a truncating checkpoint). */
const BUSY_TIMEOUT_MS = 5_000

/**
 * Entry point of both SQLite threads: better-sqlite3 is synchronous, and no database work may run on the thread that
 * serves gRPC. Calls are answered in order.
 */
function main(settings: WorkerSettings): void {
  if (parentPort === null) throw new Error('must run as a worker thread')
  const port = parentPort
  let service: Service | undefined
  const answer = (call: CallName, request: unknown): unknown => {
    service ??= settings.role === 'writer' ? openWriter(settings) : openReader(settings)
    const handler = service.handlers[call] as ((request: unknown) => unknown) | undefined
    if (handler === undefined) throw new Error(`the ${settings.role} thread has no call ${call}`)
    return handler(request)
  }
  port.on('message', ({ seq, call, request }: RequestMessage) => {
    let message: ReplyMessage
    try {
      message = { seq, ok: true, reply: answer(call, request) }
    } catch (error) {
      message = { seq, ok: false, ...describe(error) }
    }
    port.postMessage(message, message.ok && message.reply instanceof ArrayBuffer ? [message.reply] : [])
    if (call === 'close') port.close()
    else service?.afterCall()
  })
}

interface Service {
  readonly handlers: Handlers
  readonly afterCall: () => void
}

function openWriter(settings: WorkerSettings): Service {
  const lock = acquireLock(settings)
  const db = new Connection(settings.file, settings.binding, BUSY_TIMEOUT_MS)
  configure(db, 'writer')
  const writer = new WriterConnection(db)
  return {
    handlers: {
      open: () => writer.state(),
      append: (packet) => writer.append(packet),
      prune: (through) => writer.prune(through),
      size: () => writer.size(),
      defragment: () => {
        writer.defragment()
      },
      close: () => {
        writer.close()
        lock.close()
      },
    },
    afterCall: () => writer.afterCall(),
  }
}

function openReader(settings: WorkerSettings): Service {
  const readOnly = settings.readOnly === true
  const lock = readOnly ? acquireLock(settings) : undefined
  const traces = ['-wal', '-shm'].map((suffix) => `${settings.file}${suffix}`).filter((path) => !existsSync(path))
  const db = new Connection(settings.file, settings.binding, BUSY_TIMEOUT_MS, readOnly)
  configure(db, 'reader')
  if (readOnly) checkReadable(db)
  const upstream = new UpstreamReader(db)
  // Made when it is asked for: a file of upstream's has no table of ours.
  let made: ReaderConnection | undefined
  const log = (): ReaderConnection => (made ??= new ReaderConnection(db))
  return {
    handlers: {
      ...(readOnly && { open: () => readState(db) }),
      readIndex: (after) => log().readIndex(after),
      readValues: (request) => log().readValues(request),
      readVersions: (request) => log().readVersions(request),
      readLog: (request) => log().readLog(request),
      readUpstream: (after) => upstream.rows(after),
      close: () => {
        db.close()
        // A connection that may not write leaves these; nobody else has the file open.
        if (readOnly) for (const path of traces) rmSync(path, { force: true })
        lock?.close()
      },
    },
    afterCall: () => undefined,
  }
}

/** One process a database: an fcntl lock, held through an empty SQLite file beside it, which dies with the process. */
function acquireLock({ file, binding }: WorkerSettings): Connection {
  const lock = new Connection(`${file}.lock`, binding, 0)
  lock.exec('BEGIN EXCLUSIVE')
  return lock
}

function describe(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: 'UNKNOWN', message: String(error) }
  return { code: 'code' in error ? String(error.code) : 'UNKNOWN', message: error.message }
}

main(workerData as WorkerSettings)
