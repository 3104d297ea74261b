import { once } from 'node:events'
import { chmod, lstat, mkdir, rm } from 'node:fs/promises'
import net from 'node:net'
import type { Server } from 'node:net'
import { dirname } from 'node:path'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'
import { KineError } from '#pkg/kine/errors.ts'

/** Where to listen. */
export type ListenAddress =
  | { readonly type: 'unix'; readonly path: string }
  | { readonly type: 'tcp'; readonly host: string; readonly port: number }

/** Only the owner, which is the account of kine and of the API server, may use the store. */
const SOCKET_MODE = 0o600
const SOCKET_DIR_MODE = 0o750

/**
 * `unix:///path`, `tcp://host:port`, `http(s)://host:port` or `host:port`, as upstream kine's --listen-address.
 *
 * @throws KineError; it names `flag`
 */
export function parseListenAddress(text: string, flag = '--listen-address'): ListenAddress {
  const unix = /^unix:(?:\/\/)?(\/.+)$/.exec(text)?.[1]
  if (unix !== undefined) return { type: 'unix', path: unix }
  const match = /^(?:(?:tcp|https?):\/\/)?(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]*)):(\d+)$/.exec(text)
  const port = Number(match?.[3] ?? NaN)
  if (match === null || !(port <= 65_535)) {
    throw new KineError(`${flag} ${text}: want unix:///path or tcp://host:port`)
  }
  const host = match[1] ?? match[2] ?? ''
  return { type: 'tcp', host: host === '' ? '::' : host, port }
}

/** The address as clients write it. */
export function listenUrl(address: ListenAddress, scheme: 'http' | 'https'): string {
  if (address.type === 'unix') return `unix://${address.path}`
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${scheme}://${host}:${address.port}`
}

/** Binds and listens; a socket file left behind by a killed process is replaced. @throws KineError */
export async function listen(server: Server, address: ListenAddress): Promise<void> {
  try {
    if (address.type === 'unix') await listenUnix(server, address.path)
    else await listenOn(server, { host: address.host, port: address.port })
  } catch (error) {
    if (error instanceof KineError) throw error
    const where = listenUrl(address, 'http')
    const advice = errnoCode(error) === 'EADDRINUSE' ? '; stop the process that uses it or choose another address' : ''
    throw new KineError(`cannot listen on ${where}: ${errorMessage(error)}${advice}`, { cause: error })
  }
}

async function listenUnix(server: Server, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: SOCKET_DIR_MODE })
  await removeStaleSocket(path)
  await listenOn(server, { path })
  await chmod(path, SOCKET_MODE)
}

async function listenOn(server: Server, options: net.ListenOptions): Promise<void> {
  server.listen(options)
  // once() rejects when the server emits 'error' first.
  await once(server, 'listening')
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return
  if (!found.isSocket())
    throw new KineError(`cannot listen on unix://${path}: the file exists and is not a socket; remove it`)
  if (await answers(path)) {
    throw new KineError(
      `cannot listen on unix://${path}: another process answers there; stop it or choose another path`,
    )
  }
  await rm(path, { force: true })
}

async function answers(path: string): Promise<boolean> {
  const socket = net.connect({ path })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
