import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import type { Headers, Http2Duplex } from '#pkg/http2/duplex.ts'
import { StreamResetError } from '#pkg/http2/duplex.ts'
import type { ConnectionOptions } from '#pkg/http2/options.ts'
import { Http2Session, SessionRefusedError } from '#pkg/http2/session.ts'
import { WindowBudget } from '#pkg/http2/window-budget.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

const KIB = 1024
const FIRST_WINDOW = 16 * KIB
/** What Node.js's streams on both ends keep beside the window. */
const READ_AHEAD = 256 * KIB

describe('Http2Session', function () {
  this.timeout(60_000)
  const stack: (() => void)[] = []
  afterEach(() => stack.splice(0).forEach((stop) => stop()))

  function options(role: 'server' | 'client', budgetBytes = 1024 * KIB): ConnectionOptions {
    return {
      role,
      streamWindowBytes: FIRST_WINDOW,
      connectionWindowBytes: 1024 * KIB,
      maxFrameBytes: 64 * KIB,
      maxStreams: 100,
      maxWaitingBytes: 1024 * KIB,
      duplex: { maxStreamWindowBytes: 256 * KIB, budget: new WindowBudget({ limitBytes: budgetBytes }) },
    }
  }
  async function listening(server: net.Server): Promise<number> {
    stack.push(() => server.close())
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return (server.address() as AddressInfo).port
  }
  /** A client and the server's end of it, both ours. */
  async function pair(
    onStream: (stream: Http2Duplex, headers: Headers) => void,
    serverOptions = options('server'),
  ): Promise<{ readonly client: Http2Session; readonly server: Http2Session }> {
    const accepted = Promise.withResolvers<Http2Session>()
    const port = await listening(
      net.createServer((socket) => {
        const session = new Http2Session(socket, serverOptions)
        session.on('stream', (stream: Http2Duplex, headers: Headers) => {
          onStream(
            stream.on('error', () => undefined),
            headers,
          )
        })
        accepted.resolve(session)
      }),
    )
    const client = new Http2Session(net.connect(port, '127.0.0.1'), options('client'))
    stack.push(() => client.destroy())
    return { client, server: await accepted.promise }
  }
  const request = (client: Http2Session): Http2Duplex =>
    client
      .request({ ':method': 'POST', ':scheme': 'http', ':authority': 'x', ':path': '/x' })
      .on('error', () => undefined)

  it('is a client of node:http2, with headers, trailers, pings and bodies in both directions', async () => {
    const server = http2.createServer()
    server.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200, 'x-path': headers[':path'] }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }))
      stream.pipe(stream)
    })
    const client = new Http2Session(net.connect(await listening(server), '127.0.0.1'), options('client'))
    stack.push(() => client.destroy())
    const stream = request(client)
    const answered = once(stream, 'response')
    const trailers = once(stream, 'trailers')
    const body = Buffer.alloc(3000 * KIB, 'b')
    stream.end(body)
    assert.ok(Buffer.concat(await stream.toArray()).equals(body))
    assert.equal(((await answered) as [Headers])[0]['x-path'], '/x')
    assert.equal(((await trailers) as [Headers])[0]['x-end'], 'yes')
    const roundTrip = Promise.withResolvers<number>()
    assert.ok(client.ping(roundTrip.resolve))
    assert.ok((await roundTrip.promise) >= 0)
  })

  it('ends each direction on its own', async () => {
    const { client } = await pair((stream) => {
      stream.respond({ ':status': '200' })
      stream.resume().once('end', () => stream.end('after the end'))
    })
    const stream = request(client)
    stream.end('all')
    assert.equal(Buffer.concat(await stream.toArray()).toString(), 'after the end')
    await until(() => client.streams === 0, 'the stream is forgotten')
  })

  it('grants a peer what is read: a stream that is not read stops alone, and goes on when it is', async () => {
    let blocked: Http2Duplex | undefined
    const { client } = await pair((stream) => {
      stream.respond({ ':status': '200' })
      if (blocked === undefined) blocked = stream
      else stream.pipe(stream)
    })
    const first = request(client)
    let sent = 0
    const feed = (): void => {
      for (let more = true; more && sent < 8192 * KIB; sent += 16 * KIB) more = first.write(Buffer.alloc(16 * KIB))
    }
    first.on('drain', feed)
    feed()
    const second = request(client)
    second.end(Buffer.alloc(1024 * KIB))
    assert.equal(Buffer.concat(await second.toArray()).length, 1024 * KIB)
    assert.ok(sent <= FIRST_WINDOW + READ_AHEAD, `${sent} bytes were taken`)
    let received = 0
    blocked?.on('data', (chunk: Buffer) => (received += chunk.length))
    await until(() => received >= 8192 * KIB, 'the rest arrives')
  })

  it('lets windows grow for readers that keep up, within the budget, and takes it back', async () => {
    const serverOptions = options('server', 100 * KIB)
    const { client } = await pair((stream) => {
      stream.respond({ ':status': '200' })
      stream.resume()
    }, serverOptions)
    const streams = Array.from({ length: 4 }, () => request(client))
    for (const stream of streams) stream.write(Buffer.alloc(4096 * KIB))
    const used = (): number => serverOptions.duplex?.budget.usedBytes ?? 0
    await until(() => used() > 0, 'a window grows')
    for (const stream of streams) if (stream.writableNeedDrain) await once(stream, 'drain')
    assert.ok(used() <= 100 * KIB, `${used()} bytes granted`)
    for (const stream of streams) stream.destroy()
    await until(() => used() === 0, 'the budget is whole again')
  })

  it('lets the peer replace what was withheld only once it is granted', async () => {
    let received = 0
    let far: Http2Duplex | undefined
    const { client } = await pair((stream) => {
      far = stream
      stream.respond({ ':status': '200' })
      stream.on('data', (chunk: Buffer) => {
        received += chunk.length
        stream.withhold(chunk.length)
      })
    })
    const stream = request(client)
    // The size of the first windows is known.
    await once(stream, 'response')
    stream.write(Buffer.alloc(64 * KIB))
    await until(() => received === FIRST_WINDOW, 'a window has come')
    // The answer to it comes behind all that could be sent meanwhile.
    await new Promise((resolve) => client.ping(resolve))
    assert.equal(received, FIRST_WINDOW)
    far?.grant(1000)
    await until(() => received === FIRST_WINDOW + 1000, 'as much as was granted')
    far?.grant(FIRST_WINDOW - 500)
    await until(() => received === 2 * FIRST_WINDOW + 500, 'again as much')
  })

  it('tells streams of a reset and of a lost connection, and takes none after it is closed', async () => {
    let streams = 0
    const { client, server } = await pair((stream) => {
      stream.respond({ ':status': '200' })
      streams += 1
      if (streams === 1) stream.destroy(new Error('no'))
    })
    const error = async (stream: Http2Duplex): Promise<unknown> =>
      ((await once(stream, 'error').catch((e: unknown) => [e])) as unknown[])[0]
    const reset = await error(request(client))
    assert.ok(reset instanceof StreamResetError && reset.errorCode === 8)
    const lost = error(request(client))
    const second = error(request(client))
    await until(() => server.streams === 2, 'both are open')
    server.destroy()
    await lost
    await second
    assert.throws(() => request(client), SessionRefusedError)
  })

  it('closes with the last stream', async () => {
    let far: Http2Duplex | undefined
    const { client, server } = await pair((stream) => {
      far = stream
      stream.respond({ ':status': '200' })
    })
    const stream = request(client)
    await once(stream, 'response')
    const goaway = once(client, 'goaway')
    const closed = once(client, 'close')
    server.close()
    await goaway
    assert.throws(() => request(client), SessionRefusedError)
    far?.end('last')
    stream.end()
    assert.equal(Buffer.concat(await stream.toArray()).toString(), 'last')
    far?.resume()
    await closed
  })
})
