import { chown, lstat, mkdir, unlink } from 'node:fs/promises'
import type { ListenOptions, Server } from 'node:net'
import { dirname } from 'node:path'
import { errnoCode, errorMessage, K0sError } from '#pkg/errors/error.ts'

/** A listener of the tunnel could not be opened. */
export class TunnelListenError extends K0sError {
  override readonly code = 'ERR_TUNNEL_LISTEN'
}

/** Starts a server. @throws TunnelListenError naming the address and what it is for. */
export async function listen(server: Server, options: ListenOptions, what: string): Promise<void> {
  const address = options.path ?? `${options.host ?? '*'}:${options.port ?? 0}`
  await new Promise<void>((resolve, reject) => {
    const onError = (cause: Error): void => {
      reject(new TunnelListenError(`cannot listen on ${address} (${what}): ${advice(cause)}`, { cause }))
    }
    server.once('error', onError)
    server.listen(options, () => {
      server.off('error', onError)
      // accept() can fail later (no file descriptors left): that connection is lost, not the process.
      server.on('error', () => undefined)
      resolve()
    })
  })
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
  /** Remove a socket that an earlier run left behind (upstream's --delete-existing-uds-file). */
  readonly deleteExisting: boolean
}

/**
 * Listens on a unix socket that only its owner and group may connect to (umask 0007, as upstream). The directory is
 * created when missing, closed to others.
 *
 * @throws TunnelListenError
 */
export async function listenUnix(server: Server, options: UnixSocketOptions, what: string): Promise<void> {
  const { path, gid, deleteExisting } = options
  try {
    const created = await mkdir(dirname(path), { recursive: true, mode: 0o750 })
    if (created !== undefined && gid !== undefined) await chown(dirname(path), -1, gid)
    if (deleteExisting) await removeSocket(path)
  } catch (cause) {
    throw new TunnelListenError(`cannot prepare the socket ${path} (${what}): ${errorMessage(cause)}`, { cause })
  }
  // The socket file is created inside listen(), before it returns, so no other file is made under this umask.
  const umask = process.umask(0o007)
  const listening = listen(server, { path }, what)
  process.umask(umask)
  await listening
  if (gid === undefined) return
  await chown(path, -1, gid).catch((cause: unknown) => {
    throw new TunnelListenError(`cannot give the socket ${path} to group ${gid}: ${errorMessage(cause)}`, { cause })
  })
}

async function removeSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (found?.isSocket() === true) await unlink(path)
}
