import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LeaseId, LeaseRecord } from '#pkg/kine/backend.ts'
import { ForwardingBackend } from '#pkg/kine/forwarding-backend.ts'
import { FrameReader, PREFIX_BYTES, writePrefix } from '#pkg/kine/server/frames.ts'
import { GrpcServer } from '#pkg/kine/server/grpc-server.ts'
import { listen } from '#pkg/kine/server/listen.ts'
import { etcdMethods } from '#pkg/kine/server/methods.ts'
import { Store } from '#pkg/kine/store.ts'
import { MemoryDialect } from '#pkg/kine/testing/memory-dialect.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const OPTIONS = { ringBytes: 1e6, cacheBytes: 1e5, progressIntervalMs: 60_000 }
const LEASE = 7
/** Much more than all that a stalled client is sent. */
const REQUESTS = 10_000
/** Answers that fit into its windows and into what waits for them. */
const MOST_ANSWERS = 6_000
/** One window of a stream, what the handler has taken of it, and what is around messages. */
const MOST_BYTES = 6 * 1024 * 1024
/** Nothing has happened for so long: it has come to rest. */
const REST_MS = 300

describe('a client that is not kept up with', function () {
  this.timeout(30_000)

  let dir: string
  let dialect: MemoryDialect
  let store: CountedStore
  let inner: Store
  let server: GrpcServer

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kine-pressure-'))
    dialect = new MemoryDialect()
    const onFailure = (error: unknown): void => assert.fail(String(error))
    inner = await Store.open(OPTIONS, { dialect, log: silentLogger, onFailure })
    store = new CountedStore(inner)
    const methods = etcdMethods({ store, hub: inner.hub, clientUrls: [] })
    server = new GrpcServer(undefined, { methods, onStarted: () => undefined, onHandled: () => undefined })
    await listen(server.server, { type: 'unix', path: join(dir, 'kine.sock') })
    await inner.leaseGrant(LEASE, 600)
  })
  afterEach(async () => {
    server.stop()
    server.destroy()
    await inner.close()
    await rm(dir, { recursive: true, force: true })
  })

  it('because it does not read renewals of its lease is not read itself, and gets every answer later', async () => {
    using session = rawSession(join(dir, 'kine.sock'))
    const stream = session.open('/etcdserverpb.Lease/LeaseKeepAlive')
    const idOf = (i: number): number => (i % 10 === 0 ? LEASE : LEASE + i)
    stream.end(Buffer.concat(each((i) => framed(new WireWriter(16).int(1, idOf(i)).finish()))))
    await atRest(() => store.renewals)
    assert.ok(store.renewals < MOST_ANSWERS, `${store.renewals} renewals`)
    const answers = await answersOf(stream)
    const told = answers.map((answer) => [answer.get(2), answer.get(3) ?? 0])
    assert.deepEqual(
      told,
      each((i) => (i % 10 === 0 ? [LEASE, 600] : [LEASE + i, 0])),
    )
  })

  it('because it does not read the answers to its watches gets them later, in order', async () => {
    using session = rawSession(join(dir, 'kine.sock'))
    const stream = session.open('/etcdserverpb.Watch/Watch')
    const create = (i: number): Buffer => new WireWriter().bytes(1, Buffer.from(`key ${i}`)).finish()
    stream.end(Buffer.concat(each((i) => framed(new WireWriter().message(1, create(i)).finish()))))
    await atRest(() => inner.hub.watchers)
    assert.ok(inner.hub.watchers < MOST_ANSWERS, `${inner.hub.watchers} watches`)
    const answers = await answersOf(stream)
    const told = answers.map((answer) => [answer.get(3), answer.get(2) ?? 0])
    assert.deepEqual(
      told,
      each((i) => [1, i]),
    )
  })

  it('because commits take long has one renewal of a lease under way, and can send no more than a window', async () => {
    const held = Promise.withResolvers<undefined>()
    dialect.beforeAppend = () => held.promise
    using session = rawSession(join(dir, 'kine.sock'))
    const stream = session.open('/etcdserverpb.Lease/LeaseKeepAlive')
    const answered = countBytes(stream)
    const request = keepAliveOf(10_000)
    const count = Math.ceil((2 * MOST_BYTES) / request.length)
    for (let i = 0; i < count; i += 1) stream.write(request)
    await atRest(() => server.traffic.receivedBytes)
    assert.ok(server.traffic.receivedBytes < MOST_BYTES, `${server.traffic.receivedBytes} bytes`)
    assert.equal(store.renewals, 1)
    const before = dialect.commits
    held.resolve(undefined)
    await atRest(() => answered.bytes)
    assert.ok(server.traffic.receivedBytes > count * request.length)
    assert.equal(answered.bytes, count * answerBytes(inner))
    assert.ok(dialect.commits - before < count / 4, `${dialect.commits - before} commits`)
  })

  it('because it asks for very much in one message gets one answer', async () => {
    using session = rawSession(join(dir, 'kine.sock'))
    const stream = session.open('/etcdserverpb.Watch/Watch')
    const create = new WireWriter().message(1, new WireWriter().bytes(1, Buffer.from('x')).finish()).finish()
    stream.write(framed(Buffer.concat(Array.from({ length: 1000 }, () => create))))
    await atRest(() => inner.hub.watchers)
    assert.equal(inner.hub.watchers, 1)
  })
})

class CountedStore extends ForwardingBackend {
  renewals = 0

  override leaseKeepAlive(id: LeaseId): Promise<LeaseRecord | undefined> {
    this.renewals += 1
    return super.leaseKeepAlive(id)
  }
}

function each<T>(of: (i: number) => T): T[] {
  return Array.from({ length: REQUESTS }, (_, i) => of(i))
}

/** Numbers of each answer by their field, until the stream ends. */
async function answersOf(stream: ClientHttp2Stream): Promise<Map<number, number>[]> {
  const frames = new FrameReader(1e6)
  for await (const chunk of stream) frames.push(chunk as Buffer)
  const answers: Map<number, number>[] = []
  for (let message = frames.next(); message !== undefined; message = frames.next()) {
    const answer = new Map<number, number>()
    const reader = new WireReader(message)
    while (reader.next()) {
      if (reader.field === 1) reader.skip()
      else answer.set(reader.field, reader.int())
    }
    answers.push(answer)
  }
  return answers
}

/** HTTP/2 without gRPC's own queues. */
function rawSession(path: string): { open: (method: string) => ClientHttp2Stream } & Disposable {
  const session: ClientHttp2Session = connectHttp2('http://kine.sock', { createConnection: () => connect(path) })
  return {
    open: (method) =>
      session.request({ ':method': 'POST', ':path': method, 'content-type': 'application/grpc', te: 'trailers' }),
    [Symbol.dispose]: () => session.destroy(),
  }
}

function countBytes(stream: ClientHttp2Stream): { bytes: number } {
  const count = { bytes: 0 }
  stream.on('data', (chunk: Buffer) => (count.bytes += chunk.length))
  return count
}

function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  writePrefix(prefix, message.length)
  return Buffer.concat([prefix, message])
}

/** LeaseKeepAliveRequest with a field that nobody knows. */
function keepAliveOf(bytes: number): Buffer {
  return framed(new WireWriter(bytes + 16).int(1, LEASE).bytes(100, Buffer.alloc(bytes)).finish())
}

/** Of one LeaseKeepAliveResponse for `LEASE`. */
function answerBytes({ clusterId, memberId, revision }: Store): number {
  const header = new WireWriter().int(1, clusterId).int(2, memberId).int(3, revision).int(4, 1).finish()
  return PREFIX_BYTES + new WireWriter().message(1, header).int(2, LEASE).int(3, 600).finish().length
}

/** Waits until the figure stays what it is. */
async function atRest(figure: () => number): Promise<void> {
  for (let since = performance.now(), last = NaN; performance.now() - since < REST_MS;) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    if (figure() === last && last > 0) continue
    last = figure()
    since = performance.now()
  }
}
