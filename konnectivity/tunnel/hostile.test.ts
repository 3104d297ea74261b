import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { FrameType } from '#pkg/http2/protocol.ts'
import { heldBytes } from '#pkg/http2/testing/free-memory.ts'
import { frame, randomFrames } from '#pkg/http2/testing/random-frames.ts'
import { fuzzSeed, Random } from '#pkg/http2/testing/random.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { grpcFrame } from '#konnectivity/proto/grpc-frame.ts'
import { encodePacket } from '#konnectivity/proto/packet.ts'
import type { Packet } from '#konnectivity/proto/packet.ts'
import type { Issued } from '#konnectivity/testing/certificates.ts'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, readHash, startEndpoint, writeRandom } from '#konnectivity/testing/endpoints.ts'
import { dataFrames, opening } from '#konnectivity/testing/raw-frames.ts'
import { agentSubject, TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'
import { paths } from '#konnectivity/tunnel/protocol.ts'

const MIB = 1024 * 1024
const FUZZ_MS = Number(process.env['FUZZ_SECONDS'] ?? 2) * 1000
const LEAST = 100
const HELD_LIMIT_BYTES = 32 * MIB

type Sendable = Exclude<Packet, { type: 'unknown' }>

describe('tunnel server and hostile agents', function () {
  this.timeout(120_000)
  const seed = fuzzSeed(process.env['FUZZ_SEED'])
  let fixture: TunnelFixture
  let running: RunningServer
  let certificate: Issued
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
    running = await fixture.startServer()
    certificate = await fixture.ca.issue(agentSubject('hostile'))
    await fixture.startAgent('worker-0', [running.addresses.agentPort], { identifiers: { ipv4: ['127.0.0.1'] } })
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  /** A TLS connection of an agent with a certificate, of which nothing is read. */
  async function dial(): Promise<TLSSocket> {
    const { certPem: cert, keyPem: key } = certificate
    const socket = connectTls({
      port: running.addresses.agentPort,
      ca: fixture.ca.caPem,
      cert,
      key,
      ALPNProtocols: ['h2'],
    })
    socket.on('error', () => undefined)
    fixture.defer(() => void socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }
  const agents = (): number => running.server.status().agents.length
  const offenderGone = (): Promise<void> => until(() => agents() === 1, 'the offender is disconnected', 30_000)

  it(`are cut off whatever they send; the others are not touched and nothing stays (FUZZ_SEED=${seed})`, async () => {
    const random = new Random(seed)
    await using endpoint = await startEndpoint(echo)
    const { socket: witness } = await connectThrough(running.udsName, endpoint.address)
    const exchange = async (): Promise<void> => {
      const received = readHash(witness, 10_000)
      assert.equal(await writeRandom(witness, 10_000), await received, `seed ${seed}`)
    }
    await exchange()
    const before = heldBytes()
    const end = performance.now() + FUZZ_MS
    for (let i = 0; i < LEAST || performance.now() < end; i += 1) {
      const socket = await dial()
      const messages = Array.from({ length: random.int(20) }, () => randomMessage(random))
      const stream = random.once(3) ? randomFrames(random, 20) : dataFrames(Buffer.concat(messages))
      const bytes = Buffer.concat([opening(paths.connect, 'hostile'), stream])
      for (const piece of random.cut(random.once(3) ? random.damage(bytes) : bytes)) socket.write(piece)
      const closed = new Promise((resolve) => socket.once('close', resolve))
      if (random.once(2)) socket.end()
      else socket.destroy()
      socket.resume()
      await closed
      if (i % 20 === 0) await exchange()
    }
    await exchange()
    witness.destroy()
    await offenderGone()
    await until(() => running.server.status().openConnections === 0, 'nothing is open')
    await until(() => heldBytes() - before < HELD_LIMIT_BYTES, `what was held is free, seed ${seed}`)
  })

  it('are cut off when they make it answer and never read', async () => {
    const before = heldBytes()
    const socket = await dial()
    socket.pause()
    socket.write(opening(paths.connect, 'hostile'))
    await until(() => agents() === 2, 'the agent is known')
    // Each is answered with CLOSE_REQ, as the server knows no such connection.
    const data = grpcFrame(encodePacket({ type: 'data', connectId: 7, data: Buffer.from('x') }))
    const many = dataFrames(Buffer.concat(Array.from({ length: 1000 }, () => data)))
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    let most = 0
    while (!socket.destroyed && agents() === 2) {
      const written = new Promise<void>((resolve) => socket.write(many, () => resolve()))
      await Promise.race([written, closed])
      most = Math.max(most, process.memoryUsage().arrayBuffers)
    }
    await offenderGone()
    socket.destroy()
    await until(() => heldBytes() - before < HELD_LIMIT_BYTES, 'what waited is gone')
    assert.ok(most < 128 * MIB, `at most ${most} bytes waited`)
  })

  it('are cut off when they flood it with frames that move nothing', async () => {
    for (const idle of [
      frame(FrameType.ping, 0, 0, Buffer.alloc(8)),
      frame(FrameType.settings, 0, 0, Buffer.alloc(0)),
      frame(FrameType.data, 0, 1, Buffer.alloc(0)),
      frame(FrameType.priority, 0, 1, Buffer.alloc(5)),
    ]) {
      const socket = await dial()
      socket.write(opening(paths.connect, 'hostile'))
      await until(() => agents() === 2, 'the agent is known')
      socket.resume().write(Buffer.concat(Array.from({ length: 100_000 }, () => idle)))
      await offenderGone()
    }
  })
})

/** A message with its gRPC prefix, in order or not. */
function randomMessage(random: Random): Buffer {
  if (random.once(6)) return random.bytes(random.int(60))
  const message = grpcFrame(encodePacket(randomPacket(random)))
  return random.once(4) ? random.damage(message) : message
}

function randomPacket(random: Random): Sendable {
  const connectId = random.int(5)
  const big = BigInt(random.int(1000))
  return random.of<Sendable>([
    { type: 'dialResponse', random: big, connectId, error: random.once(2) ? '' : 'no' },
    { type: 'dialRequest', random: big, protocol: 'tcp', address: '127.0.0.1:1' },
    { type: 'data', connectId, data: random.bytes(random.int(500)) },
    { type: 'closeRequest', connectId },
    { type: 'closeResponse', connectId, error: '' },
    { type: 'closeDial', random: big },
    { type: 'drain' },
  ])
}
