import { readFileSync } from 'node:fs'
import net from 'node:net'
import type { Socket } from 'node:net'
import tls from 'node:tls'

/**
 * The peer of `make bench-tunnel`: the least that Node.js can do between a unix socket and a TCP endpoint with TLS in the
 * middle. `front SOCKET PORT DIR` takes each client to `back PORT ENDPOINT_PORT DIR`, which takes it to the endpoint.
 */
function main([role = '', from = '', to = '', dir = '']: readonly string[]): void {
  const pem = (name: string): string => readFileSync(`${dir}/${name}`, 'utf8')
  const credentials = { ca: pem('ca.crt'), cert: pem('relay.crt'), key: pem('relay.key') }
  const options = { allowHalfOpen: true, noDelay: true }
  const announce = (): void => console.log('listening')
  if (role === 'front') {
    const open = (): Socket => tls.connect({ host: '127.0.0.1', port: Number(to), ...credentials })
    net.createServer(options, (socket) => join(socket, open().setNoDelay())).listen(from, announce)
    return
  }
  const open = (): Socket => net.connect({ host: '127.0.0.1', port: Number(to), ...options })
  tls
    .createServer({ ...options, ...credentials, requestCert: true }, (socket) => join(socket, open()))
    .listen(Number(from), '127.0.0.1', announce)
}

function join(one: Socket, other: Socket): void {
  one.pipe(other)
  other.pipe(one)
  for (const [end, far] of [
    [one, other],
    [other, one],
  ] as const) {
    end.on('error', () => far.destroy())
    // What was read of `end` may still wait in `far`.
    end.on('close', () => far.end())
  }
}

main(process.argv.slice(2))
