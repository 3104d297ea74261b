import type { Socket } from 'node:net'

/** What a client sent before it gets a reply. */
export type ConnectRequest =
  | { readonly kind: 'connect'; readonly address: string; readonly head: Buffer }
  | { readonly kind: 'bad'; readonly status: 400 | 405 | 408 | 431; readonly message: string }
  | { readonly kind: 'gone' }

/** A request head longer than this is refused. kube-apiserver's has under 200 bytes. */
const MAX_HEAD_BYTES = 8 * 1024
const HEAD_TIMEOUT_MS = 10_000
const END_OF_HEAD = '\r\n\r\n'

/**
 * Reads `CONNECT host:port HTTP/1.1` and its header fields, which are ignored: the request line names the target, not
 * Host (kube-apiserver sends 127.0.0.1 there). A parser of its own because it runs once for each dial and one request
 * form needs neither the memory nor the leniency of node:http.
 */
export function readConnectRequest(socket: Socket): Promise<ConnectRequest> {
  return new Promise((resolve) => {
    let received: Buffer = Buffer.alloc(0)
    const finish = (request: ConnectRequest): void => {
      clearTimeout(timer)
      socket.off('data', onData).off('end', onGone).off('close', onGone).off('error', onGone)
      socket.pause()
      resolve(request)
    }
    const onGone = (): void => finish({ kind: 'gone' })
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      const end = received.indexOf(END_OF_HEAD)
      if (end >= 0 && end <= MAX_HEAD_BYTES) finish(parseHead(received, end))
      else if (received.length > MAX_HEAD_BYTES) finish(bad(431, `request head exceeds ${MAX_HEAD_BYTES} bytes`))
    }
    const timer = setTimeout(
      () => finish(bad(408, `no complete request within ${HEAD_TIMEOUT_MS} ms`)),
      HEAD_TIMEOUT_MS,
    )
    socket.on('data', onData).once('end', onGone).once('close', onGone).once('error', onGone)
  })
}

/** Splits the head at `end`; what follows it already belongs to the tunnel. */
export function parseHead(received: Buffer, end: number): ConnectRequest {
  const line = received.subarray(0, end).toString('latin1').split('\r\n', 1)[0] ?? ''
  const [method, target, version, ...rest] = line.split(' ')
  if (version === undefined || rest.length > 0 || !/^HTTP\/1\.[01]$/.test(version)) {
    return bad(400, 'malformed request line')
  }
  if (method !== 'CONNECT') return bad(405, 'this proxy only supports CONNECT passthrough')
  if (target === undefined || !isAddress(target)) return bad(400, 'target is not host:port')
  return { kind: 'connect', address: target, head: received.subarray(end + END_OF_HEAD.length) }
}

/** `host:port` or `[v6]:port`, port 1 to 65535. */
function isAddress(target: string): boolean {
  const match = /^(?:\[[0-9A-Fa-f:.%\w]+\]|[^\s:[\]/@]+):(\d{1,5})$/.exec(target)
  const port = Number(match?.[1])
  return target.length <= 300 && port >= 1 && port <= 65_535
}

function bad(status: 400 | 405 | 408 | 431, message: string): ConnectRequest {
  return { kind: 'bad', status, message }
}
