import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import type { Packet } from '#konnectivity/proto/packet.ts'
import { encodePacket } from '#konnectivity/proto/packet.ts'
import { grpcFrame } from '#konnectivity/proto/grpc-frame.ts'
import type { Issued } from '#konnectivity/testing/certificates.ts'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, readHash, startEndpoint, writeRandom } from '#konnectivity/testing/endpoints.ts'
import { agentSubject, TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'
import { TcpProxy } from '#konnectivity/testing/tcp-proxy.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { PacketStream } from '#konnectivity/tunnel/packet-stream.ts'
import { metadata, paths } from '#konnectivity/tunnel/protocol.ts'

const KIB = 1024
const AGENT_SUBJECT = agentSubject('scripted')

/** An agent that does what a test tells it: upstream's protocol on one stream. */
class ScriptedAgent {
  readonly session: ClientHttp2Session
  readonly stream: ClientHttp2Stream
  readonly packets: Packet[] = []
  readonly #control: PacketStream

  constructor(fixture: TunnelFixture, port: number, certificate: Issued | undefined, identifiers = '') {
    this.session = connectHttp2(`https://127.0.0.1:${port}`, {
      ca: fixture.ca.caPem,
      ...(certificate && { cert: certificate.certPem, key: certificate.keyPem }),
    })
    this.session.on('error', () => undefined)
    this.stream = this.session.request(
      {
        ':method': 'POST',
        ':path': paths.connect,
        'content-type': 'application/grpc',
        [metadata.agentId]: 'scripted',
        [metadata.agentIdentifiers]: identifiers,
      },
      { endStream: false },
    )
    this.#control = new PacketStream(this.stream, {
      onPacket: (packet) => this.packets.push(packet),
      onClose: () => undefined,
    })
  }

  async next<T extends Packet['type']>(type: T): Promise<Extract<Packet, { type: T }>> {
    await until(() => this.packets.some((packet) => packet.type === type), `${type} arrives`)
    const at = this.packets.findIndex((packet) => packet.type === type)
    return this.packets.splice(at, 1)[0] as Extract<Packet, { type: T }>
  }

  send(packet: Exclude<Packet, { type: 'unknown' }>): void {
    this.#control.send(packet)
  }
}

describe('tunnel faults', function () {
  this.timeout(120_000)
  let fixture: TunnelFixture
  let running: RunningServer
  let certificate: Issued
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
    running = await fixture.startServer()
    certificate = await fixture.ca.issue(AGENT_SUBJECT)
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  const agents = (): number => running.server.status().agents.length
  async function scripted(identifiers = ''): Promise<ScriptedAgent> {
    const before = agents()
    const agent = new ScriptedAgent(fixture, running.addresses.agentPort, certificate, identifiers)
    fixture.defer(() => agent.session.destroy())
    await until(() => agents() === before + 1, 'the agent is known')
    return agent
  }
  /** A dial through a scripted agent that accepts it with `connectId`. */
  async function dialAccepted(agent: ScriptedAgent, connectId: number): Promise<Socket> {
    const connecting = connectThrough(running.udsName, '10.0.0.1:80')
    const { random } = await agent.next('dialRequest')
    agent.send({ type: 'dialResponse', random, connectId, error: '' })
    const { status, socket } = await connecting
    assert.equal(status, 200)
    socket.resume()
    return socket
  }

  it('ends connections of an agent that dies, and takes it back when it returns', async () => {
    await using endpoint = await startEndpoint(echo)
    await using proxy = await TcpProxy.start(running.addresses.agentPort)
    const agent = await fixture.startAgent('worker-0', [proxy.port])
    const { socket } = await connectThrough(running.udsName, endpoint.address)
    const reading = readHash(socket, 1024 * KIB)
    const writing = writeRandom(socket, 512 * KIB)
    await writing
    proxy.cut()
    await assert.rejects(reading)
    const reconnected = (): boolean => agent.status()[0]?.disconnects === 1 && agent.status()[0]?.state === 'connected'
    await until(reconnected, 'reconnected', 3_000)
    const again = await connectThrough(running.udsName, endpoint.address)
    assert.equal(again.status, 200)
    assert.match(agent.status()[0]?.lastError ?? '', /^$/)
    await until(() => endpoint.sockets.size === 1, 'the first endpoint connection is closed')
  })

  it('notices a black hole within 15 s', async () => {
    await using endpoint = await startEndpoint(echo)
    await using proxy = await TcpProxy.start(running.addresses.agentPort)
    const agent = await fixture.startAgent('worker-0', [proxy.port])
    const { socket } = await connectThrough(running.udsName, endpoint.address)
    socket.on('error', () => undefined)
    socket.resume()
    const startedAt = performance.now()
    proxy.freeze()
    await Promise.all([
      until(() => agents() === 0, 'the server gives the agent up', 15_000),
      until(() => agent.status()[0]?.disconnects === 1, 'the agent gives the server up', 15_000),
      once(socket, 'end'),
    ])
    assert.ok(performance.now() - startedAt < 15_000)
  })

  it('tries another agent when the first goes before it answers', async () => {
    const agent = await scripted('ipv4=127.0.0.1')
    await fixture.startAgent('worker-1', [running.addresses.agentPort])
    await using endpoint = await startEndpoint(echo)
    const connecting = connectThrough(running.udsName, endpoint.address)
    await agent.next('dialRequest')
    agent.session.destroy()
    assert.equal((await connecting).status, 200)
  })

  it('asks another agent when one has no way to an address of nobody, and no third one', async () => {
    const all = [await scripted(), await scripted(), await scripted()]
    const answer = async (error: string, connectId = 0): Promise<ScriptedAgent> => {
      const asked = (): ScriptedAgent | undefined => all.find(({ packets }) => packets.length > 0)
      await until(() => asked() !== undefined, 'an agent is asked')
      const agent = asked() as ScriptedAgent
      agent.send({ type: 'dialResponse', random: (await agent.next('dialRequest')).random, connectId, error })
      return agent
    }
    const noWay = 'dial tcp 10.0.0.1:80: connect: no route to host'
    const connecting = connectThrough(running.udsName, '10.0.0.1:80')
    assert.notEqual(await answer(noWay), await answer('', 1))
    assert.equal((await connecting).status, 200)

    const nowhere = connectThrough(running.udsName, '10.0.0.1:80')
    await answer(noWay)
    await answer('dial tcp 10.0.0.1:80: i/o timeout')
    assert.equal((await nowhere).status, 504)

    const refused = connectThrough(running.udsName, '10.0.0.1:80')
    await answer('dial tcp 10.0.0.1:80: connect: connection refused')
    assert.equal((await refused).status, 502)
    assert.deepEqual(
      all.flatMap(({ packets }) => packets),
      [],
    )
  })

  it('does not ask another agent for an address of the one that has no way', async () => {
    const [owner, other] = [await scripted('ipv4=10.0.0.1'), await scripted('ipv4=10.0.0.2')]
    const connecting = connectThrough(running.udsName, '10.0.0.1:80')
    const { random } = await owner.next('dialRequest')
    owner.send({ type: 'dialResponse', random, connectId: 0, error: 'dial tcp 10.0.0.1:80: i/o timeout' })
    assert.equal((await connecting).status, 504)
    assert.deepEqual(other.packets, [])
  })

  it('fails a waiting dial at once when the only agent goes', async () => {
    const agent = await scripted()
    const connecting = connectThrough(running.udsName, '10.0.0.1:80')
    await agent.next('dialRequest')
    agent.session.destroy()
    const { status, reply } = await connecting
    assert.equal(status, 502)
    assert.match(reply, /agent disconnected/)
  })

  it('bounds a dial that nobody answers, and tells the agent', async () => {
    const impatient = await fixture.startServer({ backendDialTimeoutMs: 200 })
    const agent = new ScriptedAgent(fixture, impatient.addresses.agentPort, certificate)
    await until(() => impatient.server.status().agents.length === 1, 'the agent is known')
    const { status } = await connectThrough(impatient.udsName, '10.0.0.1:80')
    assert.equal(status, 504)
    const { random } = await agent.next('dialRequest')
    assert.equal((await agent.next('closeDial')).random, random)
    // The answer comes too late: the agent is told to close what it opened.
    agent.send({ type: 'dialResponse', random, connectId: 7, error: '' })
    assert.equal((await agent.next('closeRequest')).connectId, 7)
    agent.session.destroy()
  })

  it('tells an agent to forget a dial whose client left', async () => {
    const agent = await scripted()
    const socket = connect(running.udsName)
    socket.write('CONNECT 10.0.0.1:80 HTTP/1.1\r\n\r\n')
    const { random } = await agent.next('dialRequest')
    socket.destroy()
    assert.equal((await agent.next('closeDial')).random, random)
    assert.equal(running.server.status().agents[0]?.pendingDials, 0)
  })

  it('carries packets of an upstream agent and closes in order', async () => {
    const agent = await scripted()
    const socket = await dialAccepted(agent, 1)
    socket.write('ping')
    assert.deepEqual(await agent.next('data'), { type: 'data', connectId: 1, data: Buffer.from('ping') })
    agent.send({ type: 'data', connectId: 1, data: Buffer.from('pong') })
    assert.equal(String(await once(socket, 'data')), 'pong')
    const received: Buffer[] = []
    socket.on('data', (chunk: Buffer) => received.push(chunk))
    agent.send({ type: 'data', connectId: 1, data: Buffer.alloc(0) })
    agent.send({ type: 'data', connectId: 1, data: Buffer.from('last') })
    agent.send({ type: 'closeResponse', connectId: 1, error: '' })
    await once(socket, 'end')
    assert.equal(Buffer.concat(received).toString(), 'last')
    socket.destroy()
    await until(() => running.server.status().openConnections === 0, 'the connection is forgotten')
  })

  it('sends CLOSE_REQ after all data when the client is done', async () => {
    const agent = await scripted()
    const socket = await dialAccepted(agent, 3)
    socket.end(Buffer.alloc(300 * KIB))
    await agent.next('closeRequest')
    const data = agent.packets.filter((packet) => packet.type === 'data')
    assert.equal(
      data.reduce((sum, packet) => sum + packet.data.length, 0),
      300 * KIB,
    )
    agent.send({ type: 'closeResponse', connectId: 3, error: '' })
    await once(socket, 'end')
  })

  it('resets only the connection whose reader lets a shared stream fill up', async () => {
    running = await fixture.startServer({ bufferLimitBytes: 1024 * KIB })
    const agent = await scripted()
    const slow = await dialAccepted(agent, 1)
    const other = await dialAccepted(agent, 2)
    slow.pause()
    slow.on('error', () => undefined)
    // More than the limit, and what the sockets and windows on the way take.
    const packets = 16 + 150
    for (let i = 0; i < packets; i += 1) agent.send({ type: 'data', connectId: 1, data: Buffer.alloc(64 * KIB) })
    assert.equal((await agent.next('closeRequest')).connectId, 1)
    agent.send({ type: 'data', connectId: 2, data: Buffer.from('fine') })
    assert.equal(String(await once(other, 'data')), 'fine')
    slow.destroy()
  })

  it('answers unknown connection ids, and refuses one that is used twice', async () => {
    const agent = await scripted()
    agent.send({ type: 'data', connectId: 99, data: Buffer.from('?') })
    assert.equal((await agent.next('closeRequest')).connectId, 99)
    const first = await dialAccepted(agent, 5)
    first.on('error', () => undefined)
    const connecting = connectThrough(running.udsName, '10.0.0.1:80')
    const { random } = await agent.next('dialRequest')
    agent.send({ type: 'dialResponse', random, connectId: 5, error: '' })
    assert.equal((await connecting).status, 502)
  })

  it('disconnects an agent that sends malformed or oversized messages, and nobody else', async () => {
    await using endpoint = await startEndpoint(echo)
    await fixture.startAgent('worker-0', [running.addresses.agentPort])
    for (const garbage of [
      grpcFrame(Buffer.from([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
      grpcFrame(Buffer.from([0x22, 0x7f, 0x00])),
      Buffer.from([1, 0, 0, 0, 1, 0]),
      Buffer.from([0, 0xff, 0xff, 0xff, 0xff]),
    ]) {
      const agent = await scripted()
      agent.stream.write(garbage)
      await until(() => agents() === 1, 'the offender is gone')
    }
    assert.equal((await connectThrough(running.udsName, endpoint.address)).status, 200)
  })

  it('ignores packet types that it does not know', async () => {
    const agent = await scripted()
    agent.stream.write(grpcFrame(Buffer.from([0x08, 42])))
    agent.stream.write(grpcFrame(encodePacket({ type: 'drain' })))
    await until(() => running.server.status().agents[0]?.draining === true, 'the next packet is read')
  })

  it('leaves a draining agent alone while there is another', async () => {
    const draining = await scripted()
    draining.send({ type: 'drain' })
    await until(() => running.server.status().agents[0]?.draining === true, 'drain is known')
    await fixture.startAgent('worker-1', [running.addresses.agentPort])
    await using endpoint = await startEndpoint(echo)
    for (let i = 0; i < 8; i += 1) assert.equal((await connectThrough(running.udsName, endpoint.address)).status, 200)
    assert.deepEqual(draining.packets, [])
  })

  it('refuses agents without the right certificate', async () => {
    const stranger = await fixture.ca.issue({ commonName: 'system:node:worker-0', organizations: ['system:nodes'] })
    const nameless = await fixture.ca.issue({ commonName: 'worker-0', organizations: ['k0s:tunnel-agents'] })
    for (const presented of [undefined, stranger, nameless]) {
      const agent = new ScriptedAgent(fixture, running.addresses.agentPort, presented)
      const [headers] = (await once(agent.stream, 'response')) as [Record<string, string>]
      assert.equal(headers['grpc-status'], '16')
      await once(agent.session, 'close')
    }
    await using strangers = await TunnelFixture.create({ createCa, issueCertificate })
    const foreign = await strangers.ca.issue(AGENT_SUBJECT)
    const agent = new ScriptedAgent(fixture, running.addresses.agentPort, foreign)
    const [headers] = (await once(agent.stream, 'response')) as [Record<string, string>]
    assert.match(headers['grpc-message'] ?? '', /certificate not accepted/)
    assert.equal(agents(), 0)
  })
})
