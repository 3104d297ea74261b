import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { EventEmitter } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http2 from 'node:http2'
import net from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Http2Duplex } from '#pkg/http2/duplex.ts'
import { FrameCutter } from '#pkg/http2/frame-cutter.ts'
import { encodeFields, HpackDecoder } from '#pkg/http2/hpack.ts'
import type { ConnectionOptions } from '#pkg/http2/options.ts'
import { FrameType, Http2Error, PREFACE } from '#pkg/http2/protocol.ts'
import { Http2Session } from '#pkg/http2/session.ts'
import { heldBytes } from '#pkg/http2/testing/free-memory.ts'
import { randomFrames } from '#pkg/http2/testing/random-frames.ts'
import { fuzzSeed, Random } from '#pkg/http2/testing/random.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { WindowBudget } from '#pkg/http2/window-budget.ts'

/** Time of each test; what it must do at least takes longer on a machine that is busy. */
const FUZZ_MS = Number(process.env['FUZZ_SECONDS'] ?? 1.5) * 1000
const LEAST = 200
const MIB = 1024 * 1024
const HELD_LIMIT_BYTES = 16 * MIB

/** Calls `step` again and again for the time given. */
async function fuzz(step: (i: number) => Promise<void> | void): Promise<void> {
  const end = performance.now() + FUZZ_MS
  for (let i = 0; i < LEAST || performance.now() < end; i += 1) await step(i)
}

describe('HTTP/2 parsers and random bytes', function () {
  this.timeout(60_000)
  const seed = fuzzSeed(process.env['FUZZ_SEED'])

  it(`HPACK throws nothing but Http2Error (FUZZ_SEED=${seed})`, async () => {
    const random = new Random(seed)
    const valid = encodeFields([
      [':path', '/a'],
      ['x', 'y'.repeat(200)],
    ])
    await fuzz(() => {
      const decoder = new HpackDecoder()
      for (let block = 0; block < 20; block += 1) {
        const bytes = random.once(2) ? random.damage(valid) : random.bytes(random.int(80))
        try {
          decoder.decode(bytes, () => undefined)
        } catch (error) {
          assert.ok(error instanceof Http2Error, `seed ${seed}: ${String(error)}`)
        }
      }
    })
  })

  it(`frames are the same however they arrive (FUZZ_SEED=${seed})`, async () => {
    const random = new Random(seed)
    await fuzz(() => {
      const bytes = Buffer.concat([PREFACE, randomFrames(random, 20)])
      const damaged = random.once(3) ? random.damage(bytes) : bytes
      assert.equal(framesOf(random.cut(damaged)), framesOf([damaged]), `seed ${seed}`)
    })
  })
})

/** Text of all frames; DATA of one frame as one, whether it came in parts or not. */
function framesOf(pieces: readonly Buffer[]): string {
  const cutter = new FrameCutter({ preface: true, maxFrameBytes: 16_384 })
  const lines: string[] = []
  let data = ''
  try {
    for (const piece of pieces) {
      for (let frame = cutter.push(piece); frame !== undefined; frame = cutter.next()) {
        const { type, flags, streamId, payload } = frame
        const text = `${type} ${streamId} ${payload.toString('hex')}`
        if (type === FrameType.data && (flags & 8) === 0) data += payload.toString('hex')
        else lines.push(`${flags} ${text}`)
      }
    }
  } catch (error) {
    if (!(error instanceof Http2Error)) throw error
    lines.push(error.message)
  }
  return `${lines.join('\n')}\n${data}`
}

describe('Http2Session and random peers', function () {
  this.timeout(120_000)
  const seed = fuzzSeed(process.env['FUZZ_SEED'])

  it(`ends them, serves others, and holds nothing of them as a server (FUZZ_SEED=${seed})`, async () => {
    const random = new Random(seed)
    await using listener = await Listener.start((socket) => echoing(new Http2Session(socket, listener.options)))
    const witness = http2.connect('http://localhost', { createConnection: () => net.connect(listener.path) })
    await exchange(witness)
    const before = heldBytes()
    await fuzz(async (i) => {
      const socket = net.connect(listener.path)
      await send(socket, random, Buffer.concat([PREFACE, randomFrames(random, 30)]))
      if (i % 50 === 0) await exchange(witness)
    })
    witness.destroy()
    await listener.idle(seed)
    await until(() => heldBytes() - before < HELD_LIMIT_BYTES, `what was held is free, seed ${seed}`)
  })

  it(`holds nothing of them as a client (FUZZ_SEED=${seed})`, async () => {
    const random = new Random(seed)
    await using listener = await Listener.start((socket) => void send(socket, random, randomFrames(random, 30)))
    await fuzz(async () => {
      const socket = net.connect(listener.path)
      const session = echoing(new Http2Session(socket, { ...listener.options, role: 'client' }))
      for (let i = 0; i < 3; i += 1) {
        const stream = session.request({ ':method': 'POST', ':path': '/' })
        stream.on('error', () => undefined).resume()
        stream.write('x'.repeat(random.int(1000)))
      }
      await closeOf(session)
    })
    await listener.idle(seed)
  })
})

/** Sends it in pieces and waits until the connection is over. */
async function send(socket: Socket, random: Random, bytes: Buffer): Promise<void> {
  const closed = closeOf(socket.on('error', () => undefined))
  for (const piece of random.cut(random.once(3) ? random.damage(bytes) : bytes)) {
    socket.write(piece)
    if (random.once(4)) await new Promise((resolve) => setImmediate(resolve))
  }
  if (random.once(4)) socket.destroy()
  else socket.resume().end()
  await closed
}

/** `once` would reject where the end is an error. */
function closeOf(emitter: EventEmitter): Promise<void> {
  return new Promise((resolve) => emitter.once('close', () => resolve()))
}

function echoing(session: Http2Session): Http2Session {
  session.on('error', () => undefined)
  return session.on('stream', (stream: Http2Duplex) => {
    stream.on('error', () => undefined)
    stream.respond({ ':status': '200' })
    stream.pipe(stream)
  })
}

async function exchange(session: http2.ClientHttp2Session): Promise<void> {
  const stream = session.request({ ':method': 'POST', ':path': '/echo' })
  stream.end('witness')
  assert.equal(Buffer.concat(await stream.toArray()).toString(), 'witness')
}

/** A listener on a unix socket that knows what it has accepted. */
class Listener implements AsyncDisposable {
  readonly path: string
  readonly options: ConnectionOptions
  readonly #server: net.Server
  readonly #sockets = new Set<Socket>()

  private constructor(path: string, serve: (socket: Socket) => void) {
    this.path = path
    const budget = new WindowBudget({ limitBytes: MIB })
    this.options = {
      role: 'server',
      streamWindowBytes: 1000,
      connectionWindowBytes: 100_000,
      maxFrameBytes: 16_384,
      maxStreams: 20,
      maxWaitingBytes: MIB,
      duplex: { maxStreamWindowBytes: 10_000, budget },
    }
    this.#server = net.createServer((socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      serve(socket)
    })
  }

  static async start(serve: (socket: Socket) => void): Promise<Listener> {
    const listener = new Listener(join(await mkdtemp(join(tmpdir(), 'k0s-fuzz-')), 'socket'), serve)
    await once(listener.#server.listen(listener.path), 'listening')
    return listener
  }

  /** No connection, and no window beyond the first ones, is left. */
  async idle(seed: number): Promise<void> {
    await Promise.all([...this.#sockets].map(closeOf))
    assert.equal(this.options.duplex?.budget.usedBytes, 0, `seed ${seed}: windows are left`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
    await rm(join(this.path, '..'), { recursive: true })
  }
}
