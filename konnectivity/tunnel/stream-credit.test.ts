import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, readHash, startEndpoint, writeRandom } from '#konnectivity/testing/endpoints.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'
import { UnreadPackets } from '#konnectivity/tunnel/buffers.ts'
import { PacketConnection, ReceiveQueueFullError } from '#konnectivity/tunnel/packet-connection.ts'
import { StreamCredit } from '#konnectivity/tunnel/stream-credit.ts'

const KIB = 1024
const MIB = 1024 * 1024
/** Of a process: the copies are several times as large. */
const LIMIT_BYTES = 2 * MIB
const COPY_BYTES = 24 * MIB
const SLICE_BYTES = 256 * KIB

describe('StreamCredit', () => {
  /** What is withheld in all. */
  class Source {
    withheld = 0
    withhold(bytes: number): void {
      this.withheld += bytes
    }
    grant(bytes: number): void {
      this.withheld -= bytes
    }
  }

  it('grants what readers take, and a little at a time where they take nothing', async () => {
    const source = new Source()
    const credit = new StreamCredit(source)
    const [a, b] = [{}, {}]
    credit.withhold(a, 300 * KIB)
    credit.withhold(b, 300 * KIB)
    credit.keepAtMost(a, 100 * KIB)
    credit.keepAtMost(a, 200 * KIB)
    assert.equal(source.withheld, 400 * KIB)
    credit.release(a)
    assert.equal(source.withheld, 300 * KIB)
    await until(() => source.withheld < 300 * KIB, 'something is granted')
    await until(() => source.withheld === 0, 'all is granted')
    assert.equal(credit.withheldBytes, 0)
  })

  it('waits for a reader that is behind, and not for one that stands still', async () => {
    const source = new Source()
    const unread = new UnreadPackets({ limitBytes: MIB })
    const credit = new StreamCredit(source)
    const port = { unread, credit, sendData: () => undefined, sendClose: () => undefined, forget: () => undefined }
    const connection = new PacketConnection({ connectId: 1, stallMs: 100 }, port)
    const failed = new Promise((resolve) => connection.once('error', resolve))
    connection.receive(Buffer.alloc(300 * KIB))
    assert.equal(source.withheld, 300 * KIB)
    connection.read()
    assert.equal(source.withheld, 0)
    connection.receive(Buffer.alloc(300 * KIB))
    connection.receive(Buffer.alloc(300 * KIB))
    assert.equal(connection.destroyed, false)
    assert.notEqual(source.withheld, 0)
    await sleep(150)
    connection.receive(Buffer.alloc(1))
    assert.ok((await failed) instanceof ReceiveQueueFullError)
    assert.deepEqual([source.withheld, unread.bytes, credit.withheldBytes], [0, 0, 0])
  })

  it('is whole again when the peer closes a connection that is behind', () => {
    const source = new Source()
    const unread = new UnreadPackets({ limitBytes: MIB })
    const port = {
      unread,
      credit: new StreamCredit(source),
      sendData: () => undefined,
      sendClose: () => undefined,
      forget: () => undefined,
    }
    const connection = new PacketConnection({ connectId: 1 }, port)
    connection.receive(Buffer.alloc(512 * KIB))
    assert.equal(source.withheld, 512 * KIB)
    connection.receiveClose()
    assert.equal(source.withheld, 0)
    connection.destroy()
  })
})

describe('a reader that is slower than its source behind a peer of upstream', function () {
  this.timeout(60_000)
  let fixture: TunnelFixture
  let running: RunningServer
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  async function open(address: string): Promise<Socket> {
    const { status, reply, socket } = await connectThrough(running.udsName, address)
    assert.equal(status, 200, reply)
    return socket
  }
  async function held(): Promise<number> {
    const page = await (await fetch(`http://127.0.0.1:${running.addresses.adminPort}/metrics`)).text()
    return Number(/^konnectivity_network_proxy_server_buffer_granted_bytes (\d+)$/m.exec(page)?.[1])
  }
  /** Small exchanges on another connection of the same agent, until `done`. */
  async function exchangeUntil(address: string, done: Promise<unknown>): Promise<void> {
    const state = { over: false }
    void done.finally(() => (state.over = true))
    const socket = await open(address)
    while (!state.over) {
      const answer = once(socket, 'data')
      socket.resume().write('ping')
      assert.equal(String((await answer)[0]), 'ping')
      await sleep(10)
    }
    socket.destroy()
  }

  it('slows it down to its own speed, and gets every byte: from an agent', async () => {
    running = await fixture.startServer({ bufferLimitBytes: LIMIT_BYTES })
    await fixture.startAgent('worker-0', [running.addresses.agentPort], { flow: 'packets' })
    let written: Promise<string> | undefined
    await using source = await startEndpoint((socket) => void (written = writeRandom(socket, COPY_BYTES)))
    await using other = await startEndpoint(echo)
    const socket = await open(source.address)
    // What speaks first is held back until its client has spoken.
    socket.write('x')
    const reading = readSlowly(socket)
    await exchangeUntil(other.address, reading)
    assert.equal(await reading, await written)
    // Windows have a limit of their own.
    assert.ok((await held()) <= 2 * LIMIT_BYTES)
    socket.destroy()
  })

  it('slows it down to its own speed, and gets every byte: from a server', async () => {
    running = await fixture.startServer()
    const options = { flow: 'packets', bufferLimitBytes: LIMIT_BYTES } as const
    await fixture.startAgent('worker-0', [running.addresses.agentPort], options)
    let reading: Promise<string> | undefined
    await using sink = await startEndpoint((socket) => void (reading = readSlowly(socket)))
    await using other = await startEndpoint(echo)
    const socket = await open(sink.address)
    const writing = writeRandom(socket, COPY_BYTES)
    await until(() => reading !== undefined, 'the endpoint reads')
    await exchangeUntil(other.address, reading as Promise<string>)
    assert.equal(await reading, await writing)
    socket.destroy()
  })
})

/** Reads COPY_BYTES with a pause after each slice, slower than they come. */
async function readSlowly(socket: Socket): Promise<string> {
  socket.pause()
  let taken = 0
  const pace = (chunk: Buffer): void => {
    taken += chunk.length
    if (taken < SLICE_BYTES) return
    taken = 0
    socket.pause()
    setTimeout(() => socket.resume(), 25)
  }
  const reading = readHash(socket, COPY_BYTES)
  socket.on('data', pace)
  return reading
}
