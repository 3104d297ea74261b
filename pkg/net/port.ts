import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { errnoCode, K0sError } from '#pkg/errors/error.ts'
import { processName, socketOwner } from '#pkg/file/proc.ts'
import { IpError, joinHostPort } from '#pkg/net/ip.ts'

/** A port that a component is about to listen on is taken. */
export class PortInUseError extends K0sError {
  override readonly code = 'ERR_PORT_IN_USE'
  readonly port: number
  /** The process that listens there, where it can be seen. */
  readonly pid: number | undefined

  constructor(host: string, port: number, name: string) {
    const pid = portOwner(port)
    const owner = pid === undefined ? 'another process' : `${processName(pid) ?? 'process'} (process ${pid})`
    super(
      `port ${port} of ${name} is in use by ${owner} (${joinHostPort(host, port)}); stop it or configure another port`,
    )
    this.port = port
    this.pid = pid
  }
}

/**
 * Fails when `host:port` cannot be bound now. `name` is who needs it, for the message. The kernel is asked by binding:
 * it knows wildcard addresses, v6 and reuse better than any table.
 *
 * @throws PortInUseError naming the port and its owner; IpError when the address is not one of this host.
 */
export async function assertPortFree(host: string, port: number, { name }: { readonly name: string }): Promise<void> {
  const server = createServer()
  try {
    server.listen({ host, port, exclusive: true })
    await once(server, 'listening')
  } catch (err) {
    switch (errnoCode(err)) {
      case 'EADDRINUSE':
        throw new PortInUseError(host, port, name)
      case 'EADDRNOTAVAIL':
        throw new IpError(`${name} cannot listen on ${host}: no interface of this host has that address`, {
          cause: err,
        })
      case 'EACCES':
        throw new IpError(`${name} may not listen on port ${port}: ports below 1024 need root`, { cause: err })
      case undefined:
      default:
        throw err
    }
  } finally {
    await new Promise<void>((done) => server.close(() => done()))
  }
}

/** PID of a process that listens on the TCP port, on any address; undefined when none can be seen. */
export function portOwner(port: number): number | undefined {
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const inode of listeningInodes(readTable(table), port)) {
      const pid = socketOwner(inode)
      if (pid !== undefined) return pid
    }
  }
  return undefined
}

/** Inodes of the listening sockets of a port in the text of /proc/net/tcp (proc_pid_net(5)). */
export function listeningInodes(table: string, port: number): readonly string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === '0A' && local?.split(':')[1] === wanted) // 0A is TCP_LISTEN
    .flatMap((fields) => fields[9] ?? [])
}

function readTable(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // no IPv6 in this kernel
  }
}
