import type { Socket } from 'node:net'

/** What a client sent before it gets a reply. */
export type ConnectRequest =
  | { readonly kind: 'connect'; readonly address: string; readonly head: Buffer }
  | { readonly kind: 'bad'; readonly status: 400 | 405 | 408 | 431; readonly message: string }
  | { readonly kind: 'gone' }

/** A request head longer than this is refused. kube-apiserver's has under 200 bytes. */
const MAX_HEAD_BYTES = 8 * 1024
const HEAD_TIMEOUT_MS = 10_000
const END_OF_HEAD = Buffer.from('\r\n\r\n')

/** Bytes that a client may send before it has its reply; more waits in the kernel. */
const MAX_EARLY_BYTES = 64 * 1024

/**
 * A client from its first byte to its reply. Reads `CONNECT host:port HTTP/1.1` and its header fields, which are ignored: the
 * request line names the target, not Host (kube-apiserver sends 127.0.0.1 there). Then it reads on, to notice a client that leaves
 * while its dial runs, and puts back what came. A parser of its own because it runs once for each dial and one request form needs
 * neither the memory nor the leniency of node:http.
 */
export class ConnectClient {
  /** Aborted when a client that waits for its reply ends or closes its side. */
  readonly gone = new AbortController()
  /** Resolves once; never rejects. */
  readonly request: Promise<ConnectRequest>
  readonly #socket: Socket
  readonly #timer: NodeJS.Timeout
  #decide: ((request: ConnectRequest) => void) | undefined
  /** Of the head that is not complete, then what came behind it. */
  #received: Buffer | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    this.request = new Promise((resolve) => (this.#decide = resolve))
    const late = (): void => this.#finish(bad(408, `no complete request within ${HEAD_TIMEOUT_MS} ms`))
    this.#timer = setTimeout(late, HEAD_TIMEOUT_MS)
    socket.on('data', this.#onData).on('end', this.#onGone).on('close', this.#onGone)
  }

  /** Ends reading, for the reply; true when the client did not wait for it. */
  release(): boolean {
    const socket = this.#socket.off('data', this.#onData).off('end', this.#onGone).off('close', this.#onGone)
    if (this.#received === undefined) return false
    socket.pause()
    if (!socket.destroyed) socket.unshift(this.#received)
    return true
  }

  readonly #onData = (chunk: Buffer): void => {
    const received = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk])
    this.#received = received
    if (this.#decide === undefined) {
      if (received.length >= MAX_EARLY_BYTES) this.#socket.pause()
      return
    }
    const end = received.indexOf(END_OF_HEAD)
    if (end >= 0 && end <= MAX_HEAD_BYTES) this.#finish(parseHead(received, end))
    else if (received.length > MAX_HEAD_BYTES) this.#finish(bad(431, `request head exceeds ${MAX_HEAD_BYTES} bytes`))
  }

  readonly #onGone = (): void => {
    if (this.#decide !== undefined) this.#finish({ kind: 'gone' })
    else this.gone.abort(new Error('the client went away'))
  }

  #finish(request: ConnectRequest): void {
    clearTimeout(this.#timer)
    this.#received = request.kind === 'connect' && request.head.length > 0 ? request.head : undefined
    if (request.kind !== 'connect') this.release()
    this.#decide?.(request)
    this.#decide = undefined
  }
}

/** Splits the head at `end`; what follows it already belongs to the tunnel. */
function parseHead(received: Buffer, end: number): ConnectRequest {
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
