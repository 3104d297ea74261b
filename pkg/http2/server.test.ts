import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { encodeFields } from '#pkg/http2/hpack.ts'
import { ErrorCode, FrameType, PREFACE } from '#pkg/http2/protocol.ts'
import { Http2Server } from '#pkg/http2/server.ts'
import type { Http2Stream, StreamListener } from '#pkg/http2/stream.ts'

const HEADERS = encodeFields([['content-type', 'text/plain']], true)
const TRAILERS = encodeFields([['x-end', 'yes']])
const LARGE_BYTES = 3_000_000

/** Answers `/echo` with the request, `/large` with three megabytes, `/wait` never. */
function serve(stream: Http2Stream): StreamListener {
  const parts: Buffer[] = []
  return {
    onData: (bytes, ended) => {
      parts.push(bytes)
      if (!ended || stream.path === '/wait') return
      stream.sendHeaders(HEADERS)
      const body = stream.path === '/large' ? Buffer.alloc(LARGE_BYTES, 'x') : Buffer.concat(parts)
      if (body.length > 0) stream.send(body)
      stream.end(TRAILERS)
    },
    onDrain: () => undefined,
    onClose: () => undefined,
  }
}

async function started(): Promise<{ server: Http2Server; port: number } & AsyncDisposable> {
  const server = new Http2Server(undefined, serve)
  server.server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  const stop = async (): Promise<void> => {
    const closed = once(server.server, 'close')
    server.close()
    server.destroy()
    await closed
  }
  return { server, port: (server.server.address() as AddressInfo).port, [Symbol.asyncDispose]: stop }
}

interface Answer {
  readonly body: Buffer
  readonly end: unknown
}

async function request(
  session: ClientHttp2Session,
  path: string,
  body = Buffer.alloc(0),
  headers = {},
): Promise<Answer> {
  const stream = session.request({ ':method': 'POST', ':path': path, ...headers })
  let end: unknown
  stream.on('trailers', (trailers: IncomingHttpHeaders) => {
    end = trailers['x-end']
  })
  stream.end(body)
  return { body: Buffer.concat(await stream.toArray()), end }
}

describe('Http2Server with the client of Node.js', function () {
  this.timeout(60_000) // also on a loaded machine
  it('answers many requests at once on one connection, with bodies of every size', async () => {
    await using running = await started()
    const session = http2.connect(`http://127.0.0.1:${running.port}`)
    const sizes = [0, 1, 4_000, 16_384, 16_385, 70_000, 1_500_000]
    const answers = await Promise.all(
      [...sizes, ...sizes].map(async (size) => {
        const body = Buffer.alloc(size, size % 251)
        const answer = await request(session, '/echo', body)
        return answer.end === 'yes' && answer.body.equals(body)
      }),
    )
    assert.deepEqual(answers, Array<boolean>(2 * sizes.length).fill(true))
    session.close()
  })

  it('keeps within the windows of a client that reads slowly, then sends it all', async () => {
    await using running = await started()
    const session = http2.connect(`http://127.0.0.1:${running.port}`, { settings: { initialWindowSize: 1000 } })
    const stream = session.request({ ':method': 'POST', ':path': '/large' })
    stream.end()
    await once(stream, 'response')
    // Another one on the same connection is not held up by the one that waits.
    assert.equal((await request(session, '/echo', Buffer.from('a'))).body.toString(), 'a')
    assert.equal(Buffer.concat(await stream.toArray()).length, LARGE_BYTES)
    session.close()
  })

  it('decodes headers that take several frames, and tables that change', async () => {
    await using running = await started()
    const session = http2.connect(`http://127.0.0.1:${running.port}`)
    for (let i = 0; i < 50; i += 1) {
      const headers = { 'x-long': `${i}`.repeat(10_000), [`x-${i}`]: `äöü ${i}`, 'grpc-timeout': `${i * 7919}u` }
      assert.equal((await request(session, '/echo', Buffer.from(`${i}`), headers)).body.toString(), `${i}`)
    }
    session.settings({ headerTableSize: 0 })
    await once(session, 'localSettings')
    assert.equal((await request(session, '/echo', Buffer.from('b'))).end, 'yes')
    session.close()
  })

  it('answers pings, forgets cancelled streams, and ends with the last stream', async () => {
    await using running = await started()
    const session = http2.connect(`http://127.0.0.1:${running.port}`)
    await once(session, 'connect')
    const ping = Promise.withResolvers<Buffer>()
    session.ping(Buffer.from('12345678'), (_, __, payload) => ping.resolve(payload))
    assert.equal((await ping.promise).toString(), '12345678')
    const cancelled = session.request({ ':method': 'POST', ':path': '/wait' })
    cancelled.on('error', () => undefined)
    cancelled.close(http2.constants.NGHTTP2_CANCEL)
    const closed = Promise.all([once(session, 'close'), once(running.server.server, 'close')])
    assert.equal((await request(session, '/echo', Buffer.from('c'))).end, 'yes')
    running.server.close()
    await closed
  })
})

/** A frame as bytes. */
function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(streamId, 5)
  return Buffer.concat([header, payload])
}

const SETTINGS = frame(FrameType.settings, 0, 0, Buffer.alloc(0))
const REQUEST = frame(FrameType.headers, 4, 1, encodeFields([[':path', '/wait']]))

/** Sends bytes, and returns the error code of the GOAWAY with which the server ends the connection. */
async function goawayAfter(port: number, ...frames: readonly Buffer[]): Promise<number> {
  const socket: Socket = net.connect(port, '127.0.0.1')
  socket.write(Buffer.concat(frames))
  let bytes = Buffer.concat((await socket.toArray()) as Buffer[])
  while (bytes.length >= 9) {
    const length = bytes.readUIntBE(0, 3)
    if (bytes[3] === FrameType.goaway) return bytes.readUInt32BE(9 + 4)
    bytes = bytes.subarray(9 + length)
  }
  return -1
}

describe('Http2Server with a client that breaks the protocol', function () {
  this.timeout(60_000) // also on a loaded machine
  const four = Buffer.alloc(4)
  const cases: readonly (readonly [what: string, code: number, ...frames: readonly Buffer[]])[] = [
    ['another protocol', ErrorCode.protocolError, Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
    ['DATA of no stream', ErrorCode.protocolError, PREFACE, SETTINGS, frame(FrameType.data, 0, 5, four)],
    ['an even stream', ErrorCode.protocolError, PREFACE, SETTINGS, frame(FrameType.headers, 4, 2, four)],
    ['a broken header block', ErrorCode.compressionError, PREFACE, SETTINGS, frame(FrameType.headers, 4, 1, four)],
    ['a frame too large', ErrorCode.frameSizeError, PREFACE, frame(FrameType.data, 0, 1, Buffer.alloc(16_385))],
    ['a short PING', ErrorCode.frameSizeError, PREFACE, SETTINGS, frame(FrameType.ping, 0, 0, four)],
    ['a window update of nothing', ErrorCode.protocolError, PREFACE, frame(FrameType.windowUpdate, 0, 0, four)],
    [
      'a window too large',
      ErrorCode.flowControlError,
      PREFACE,
      frame(FrameType.windowUpdate, 0, 0, Buffer.from('7fffffff', 'hex')),
    ],
    ['a push', ErrorCode.protocolError, PREFACE, frame(FrameType.pushPromise, 4, 1, four)],
    [
      'headers that are interrupted',
      ErrorCode.protocolError,
      PREFACE,
      frame(FrameType.headers, 0, 1, Buffer.alloc(0)),
      frame(FrameType.ping, 0, 0, Buffer.alloc(8)),
    ],
    [
      'headers that never end',
      ErrorCode.enhanceYourCalm,
      PREFACE,
      frame(FrameType.headers, 0, 1, Buffer.alloc(0)),
      ...Array<Buffer>(100).fill(frame(FrameType.continuation, 0, 1, Buffer.alloc(0))),
    ],
    [
      'windows that change all the time',
      ErrorCode.enhanceYourCalm,
      PREFACE,
      ...Array<Buffer>(20).fill(frame(FrameType.settings, 0, 0, Buffer.from('000400010000'.repeat(2700), 'hex'))),
    ],
    [
      'more padding than payload',
      ErrorCode.protocolError,
      PREFACE,
      REQUEST,
      frame(FrameType.data, 8, 1, Buffer.from([4, 0, 0])),
    ],
  ]
  for (const [what, code, ...frames] of cases) {
    it(`ends the connection with the right code: ${what}`, async () => {
      await using running = await started()
      assert.equal(await goawayAfter(running.port, ...frames), code)
    })
  }

  it('takes a request that comes octet by octet, with priority, padding and unknown frames', async () => {
    await using running = await started()
    const socket = net.connect(running.port, '127.0.0.1')
    socket.setNoDelay(true)
    const path = encodeFields([[':path', '/echo']])
    const head = Buffer.concat([Buffer.from([2]), Buffer.alloc(5), path, Buffer.alloc(2)])
    const bytes = Buffer.concat([
      PREFACE,
      SETTINGS,
      frame(0x42, 0, 0, Buffer.from('unknown')),
      frame(FrameType.headers, 4 | 8 | 32, 1, head),
      frame(FrameType.data, 1 | 8, 1, Buffer.from('\x03hello\0\0\0')),
    ])
    const answer: Buffer[] = []
    const done = new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        answer.push(chunk)
        if (Buffer.concat(answer).includes('x-end')) resolve()
      })
    })
    for (const byte of bytes) socket.write(Buffer.from([byte]))
    await done
    socket.destroy()
    assert.ok(Buffer.concat(answer).includes('hello'))
  })
})
