import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { resolve } from 'node:path'
import { errnoCode, K0sError } from '#pkg/errors/error.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { isDead, processName, processStat } from '#pkg/file/proc.ts'

/** Another process holds the lock. */
export class LockHeldError extends K0sError {
  override readonly code = 'ERR_LOCK_HELD'
  /** The holder, when it is known. */
  readonly pid: number | undefined

  constructor(path: string, pid: number | undefined) {
    const holder = pid === undefined ? 'another process' : `process ${pid} (${processName(pid) ?? 'gone meanwhile'})`
    super(`k0s is already running here: ${holder} holds ${path}; stop it with k0s stop, or use another --data-dir`)
    this.pid = pid
  }
}

/** A held lock. Released explicitly, by `await using`, or by the end of the process however it comes. */
export interface Lock extends AsyncDisposable {
  readonly path: string
  release(): Promise<void>
}

/*
 * Node.js has no flock. Two means together give its properties:
 *  - an abstract unix socket named after the path: the kernel lets one process per network namespace bind the name and
 *    frees it at the end of that process, kill -9 included, so there is nothing stale to clean up and no race between
 *    two starts. Node.js opens it close-on-exec: supervised children do not inherit it;
 *  - a file with the holder's PID and start time: names the holder in the message, and refuses a second start from
 *    another network namespace over the same directory. PID and start time together are never reused, so what a
 *    killed holder left behind does not count.
 * INVARIANTS: the file is only written by the holder of the socket; a file whose process is gone means nothing.
 */

/**
 * Takes the lock named by `path`, without waiting.
 *
 * @throws LockHeldError when another process has it; FileError when the file cannot be written.
 */
export async function acquireLock(path: string): Promise<Lock> {
  const absolute = resolve(path)
  const server = await bind(absolute)
  try {
    const holder = await liveHolder(absolute)
    if (holder !== undefined && holder !== process.pid) throw new LockHeldError(absolute, holder)
    const startTime = processStat(process.pid)?.startTime ?? 0
    await writeFileAtomic(absolute, `${process.pid} ${startTime}\n`, { mode: 0o644 })
  } catch (err) {
    await close(server)
    throw err
  }
  let released: Promise<void> | undefined
  const release = (): Promise<void> => (released ??= rm(absolute, { force: true }).finally(() => close(server)))
  return { path: absolute, release, [Symbol.asyncDispose]: release }
}

/** PID of the living process that holds the lock, or undefined when nobody does. */
export async function lockHolder(path: string): Promise<number | undefined> {
  return liveHolder(resolve(path))
}

async function liveHolder(path: string): Promise<number | undefined> {
  const [pid, startTime] = ((await readIfExists(path)) ?? '').split(/\s+/).map(Number)
  if (pid === undefined || startTime === undefined || !Number.isSafeInteger(pid) || pid <= 0) return undefined
  const stat = processStat(pid)
  return stat !== undefined && stat.startTime === startTime && !isDead(stat) ? pid : undefined
}

async function bind(path: string): Promise<Server> {
  const server = createServer((connection) => connection.destroy())
  try {
    server.listen({ path: socketName(path), exclusive: true })
    await once(server, 'listening')
  } catch (err) {
    if (errnoCode(err) === 'EADDRINUSE') throw new LockHeldError(path, await liveHolder(path))
    throw err
  }
  server.unref() // the lock alone does not keep a process alive
  return server
}

/** Abstract names start with NUL and have at most 107 more bytes (unix(7)); a digest fits whatever the path. */
function socketName(path: string): string {
  return `\0k0s-lock-${createHash('sha256').update(path).digest('hex')}`
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((done) => server.close(() => done()))
}
