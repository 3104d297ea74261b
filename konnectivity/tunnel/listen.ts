import { chmod, chown, lstat, mkdir, rename, unlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { ListenOptions, Server } from 'node:net'
import { dirname, join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { errnoCode, errorMessage, K0sError } from '#pkg/errors/error.ts'

/** A listener of the tunnel could not be opened. */
export class TunnelListenError extends K0sError {
  override readonly code = 'ERR_TUNNEL_LISTEN'
}

/**
 * Whether another process may listen on the same TCP port, which the kernel allows those of one user that all ask for it:
 * `first` fails on a port that anyone holds, `successor` expects its predecessor there.
 */
export type PortSharing = 'none' | 'first' | 'successor'

/** Starts a server. @throws TunnelListenError naming the address and what it is for. */
export async function listen(
  server: Server,
  options: ListenOptions,
  what: string,
  sharing: PortSharing = 'none',
): Promise<void> {
  if (sharing === 'first' && options.port !== 0) await assertFree(options, what)
  const address = options.path ?? `${options.host ?? '*'}:${options.port ?? 0}`
  await new Promise<void>((resolve, reject) => {
    const onError = (cause: Error): void => {
      reject(new TunnelListenError(`cannot listen on ${address} (${what}): ${advice(cause)}`, { cause }))
    }
    server.once('error', onError)
    server.listen({ ...options, ...(sharing !== 'none' && { reusePort: true }) }, () => {
      server.off('error', onError)
      // accept() can fail later (no file descriptors left): that connection is lost, not the process.
      if (!server.listeners('error').includes(ignore)) server.on('error', ignore)
      resolve()
    })
  })
}

const ignore = (): void => undefined

/** A bind without SO_REUSEPORT: with it alone, two programs that know nothing of each other would share the port. */
async function assertFree(options: ListenOptions, what: string): Promise<void> {
  const probe = createServer()
  await listen(probe, options, what)
  await closed(probe)
}

/** Closes the listener; open connections are left alone. */
export function closed(server: { close(done: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

function advice(error: Error): string {
  switch (errnoCode(error)) {
    case 'EADDRINUSE':
      return 'address in use; stop the program that holds it or choose another port'
    case 'EACCES':
      return 'permission denied; check the owner of the directory or use a port above 1023'
    default:
      return errorMessage(error)
  }
}

/** Who may connect to a unix socket. */
export interface UnixSocketOptions {
  readonly path: string
  /** Group whose members may connect; without it only those of the process's own group. */
  readonly gid?: number | undefined
  /** Permissions. Default 0770, as upstream's umask 0007 makes them. */
  readonly mode?: number
  /** Take the place of a socket that is there (upstream's --delete-existing-uds-file). */
  readonly deleteExisting: boolean
}

/** A unix socket that listens. */
export interface UnixListener {
  /** Closes the listener and removes the path, unless it leads to another's socket by now. */
  close(): Promise<void>
}

/**
 * Listens on a unix socket that only its owner and group may connect to. It gets its path when it is ready, in place of
 * another's: the path leads to a listening socket at every moment. The directory is created when missing, closed to others.
 *
 * @throws TunnelListenError
 */
export async function listenUnix(server: Server, options: UnixSocketOptions, what: string): Promise<UnixListener> {
  const { path, gid, mode = 0o770, deleteExisting } = options
  // Node.js unlinks on close the path that it bound: by then this one, not the other that may be our successor's.
  const temporary = join(dirname(path), `.${randomBytes(3).toString('hex')}`)
  try {
    const created = await mkdir(dirname(path), { recursive: true, mode: 0o750 })
    if (created !== undefined && gid !== undefined) await chown(dirname(path), -1, gid)
    await assertReplaceable(path, deleteExisting)
  } catch (cause) {
    if (cause instanceof TunnelListenError) throw cause
    throw new TunnelListenError(`cannot prepare the socket ${path} (${what}): ${errorMessage(cause)}`, { cause })
  }
  // The socket file is created inside listen(), before it returns, so no other file is made under this umask.
  const umask = process.umask(0o077)
  const listening = listen(server, { path: temporary }, what)
  process.umask(umask)
  await listening
  try {
    if (gid !== undefined) await chown(temporary, -1, gid)
    await chmod(temporary, mode)
    const { ino } = await lstat(temporary)
    await rename(temporary, path)
    return { close: () => closeUnix(server, path, ino) }
  } catch (cause) {
    server.close()
    throw new TunnelListenError(`cannot open the socket ${path} (${what}): ${errorMessage(cause)}`, { cause })
  }
}

async function assertReplaceable(path: string, deleteExisting: boolean): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined || (deleteExisting && found.isSocket())) return
  throw new TunnelListenError(`cannot listen on ${path}: the file exists, and is not ours to remove`)
}

async function closeUnix(server: Server, path: string, ino: number): Promise<void> {
  if (server.listening) {
    const now = await lstat(path).catch(() => undefined)
    if (now?.ino === ino) await unlink(path).catch(() => undefined)
  }
  await closed(server)
}
