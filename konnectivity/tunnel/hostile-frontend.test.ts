import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { heldBytes } from '#pkg/http2/testing/free-memory.ts'
import { fuzzSeed, Random } from '#pkg/http2/testing/random.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { grpcFrame } from '#konnectivity/proto/grpc-frame.ts'
import { encodePacket } from '#konnectivity/proto/packet.ts'
import { echo, startEndpoint } from '#konnectivity/testing/endpoints.ts'
import { GrpcClient } from '#konnectivity/testing/grpc-client.ts'
import { dataFrames, opening } from '#konnectivity/testing/raw-frames.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'
import { paths } from '#konnectivity/tunnel/protocol.ts'

const MIB = 1024 * 1024
const HELD_LIMIT_BYTES = 32 * MIB
const ROUNDS = 100

describe('tunnel server and hostile frontends', function () {
  this.timeout(120_000)
  const seed = fuzzSeed(process.env['FUZZ_SEED'])
  let fixture: TunnelFixture
  let running: RunningServer
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
    running = await fixture.startServer({ mode: 'grpc' })
    await fixture.startAgent('worker-0', [running.addresses.agentPort])
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  function dial(): Socket {
    const socket = connect(running.udsName).on('error', () => undefined)
    fixture.defer(() => void socket.destroy())
    return socket
  }
  /** Another client has a connection, and it works. */
  async function othersAreServed(): Promise<void> {
    await using endpoint = await startEndpoint(echo)
    using client = new GrpcClient(running.udsName)
    const connectId = await client.dial(endpoint.address)
    client.stream.sendData(connectId, Buffer.from('hello'), () => undefined)
    assert.equal(String((await client.next('data')).data), 'hello')
  }

  it('are cut off when they make it answer and never read', async () => {
    const before = heldBytes()
    const socket = dial().pause()
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.write(opening(paths.proxy))
    // Each is answered: there is no such connection.
    const one = grpcFrame(encodePacket({ type: 'closeRequest', connectId: 7 }))
    const many = dataFrames(Buffer.concat(Array.from({ length: 1000 }, () => one)))
    let most = 0
    while (!socket.destroyed) {
      const written = new Promise<void>((resolve) => socket.write(many, () => resolve()))
      await Promise.race([written, closed])
      most = Math.max(most, process.memoryUsage().arrayBuffers)
    }
    await othersAreServed()
    await until(() => heldBytes() - before < HELD_LIMIT_BYTES, 'what waited is gone')
    assert.ok(most < 128 * MIB, `at most ${most} bytes waited`)
  })

  it(`are cut off when what they send is no protocol (FUZZ_SEED=${seed})`, async () => {
    const random = new Random(seed)
    const dialRequest = grpcFrame(
      encodePacket({ type: 'dialRequest', protocol: 'tcp', address: '127.0.0.1:1', random: 1n }),
    )
    for (let i = 0; i < ROUNDS; i += 1) {
      const socket = dial().resume()
      const closed = new Promise((resolve) => socket.once('close', resolve))
      const bytes = Buffer.concat([opening(paths.proxy), dataFrames(dialRequest)])
      for (const piece of random.cut(random.damage(bytes))) socket.write(piece)
      socket.end()
      await closed
      if (i % 25 === 0) await othersAreServed()
    }
    await othersAreServed()
    await until(() => running.server.status().openConnections === 0, 'nothing is open')
  })
})
