import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, readHash, startEndpoint, writeRandom } from '#konnectivity/testing/endpoints.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'
import { UnreadPackets } from '#konnectivity/tunnel/buffers.ts'

const MIB = 1024 * 1024

describe('packets that wait for their readers', () => {
  /** Gives back what it holds when it is told to, as connections do. */
  class Holder {
    ended = false
    readonly #unread: UnreadPackets
    constructor(unread: UnreadPackets) {
      this.#unread = unread
    }
    overflow(): void {
      this.ended = true
      this.#unread.forget(this)
    }
  }

  it('end the connection whose reader has stood still for longest', () => {
    const unread = new UnreadPackets({ limitBytes: 100 })
    const [a, b, c] = [new Holder(unread), new Holder(unread), new Holder(unread)]
    for (const holder of [a, b, c]) unread.add(holder, 30)
    unread.take(a, 10)
    unread.add(c, 40)
    assert.deepEqual([a.ended, b.ended, c.ended, unread.bytes], [false, true, false, 90])
    unread.add(a, 90)
    assert.deepEqual([a.ended, c.ended, unread.bytes], [true, true, 0])
  })

  describe('in a server behind agents of upstream', function () {
    this.timeout(60_000)
    let fixture: TunnelFixture
    let running: RunningServer
    before(async () => {
      fixture = await TunnelFixture.create({ createCa, issueCertificate })
      running = await fixture.startServer({ bufferLimitBytes: MIB })
      await fixture.startAgent('worker-0', [running.addresses.agentPort], { flow: 'packets' })
    })
    after(() => fixture[Symbol.asyncDispose]())

    const metric = async (name: string): Promise<number> => {
      const page = await (await fetch(`http://127.0.0.1:${running.addresses.adminPort}/metrics`)).text()
      return Number(new RegExp(`^konnectivity_network_proxy_server_${name} (\\d+)$`, 'm').exec(page)?.[1])
    }
    async function open(address: string): Promise<Socket> {
      const { status, reply, socket } = await connectThrough(running.udsName, address)
      assert.equal(status, 200, reply)
      return socket.on('error', () => undefined)
    }

    it('use up the limit: those that nobody reads are reset, the others are not touched', async () => {
      await using flood = await startEndpoint((socket) => void writeRandom(socket, 64 * MIB).catch(() => undefined))
      await using healthy = await startEndpoint(echo)
      const transfer = async (): Promise<void> => {
        const socket = await open(healthy.address)
        const reading = readHash(socket, 8 * MIB)
        assert.equal(await writeRandom(socket, 8 * MIB), await reading)
        socket.destroy()
      }
      const transfers = [transfer()]
      const blocked = await Promise.all(Array.from({ length: 6 }, () => open(flood.address)))
      // What speaks first is held back until its client has spoken.
      for (const socket of blocked) socket.pause().write('x')
      transfers.push(transfer())
      const deadline = performance.now() + 30_000
      while (!((await metric('receive_queue_full_total')) > 0)) assert.ok(performance.now() < deadline, 'one is reset')
      await Promise.all([...transfers, transfer()])
      assert.ok((await metric('buffer_granted_bytes')) <= 2 * MIB)
      for (const socket of blocked) socket.destroy()
      await until(() => running.server.status().openConnections === 0, 'nothing is open')
      // What is left are windows, which have a limit of their own.
      assert.ok((await metric('buffer_granted_bytes')) <= MIB)
    })
  })
})
