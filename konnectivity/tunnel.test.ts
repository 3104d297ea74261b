import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, readHash, startEndpoint, writeRandom } from '#konnectivity/testing/endpoints.ts'
import type { Endpoint } from '#konnectivity/testing/endpoints.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

const MIB = 1024 * 1024

describe('tunnel, HTTP CONNECT over a unix socket', function () {
  this.timeout(120_000)
  let fixture: TunnelFixture
  let running: RunningServer
  before(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
    running = await fixture.startServer()
  })
  after(() => fixture[Symbol.asyncDispose]())

  /** One agent for one test. */
  async function withAgent(test: () => Promise<void>): Promise<void> {
    const agent = await fixture.startAgent('worker-0', [running.addresses.agentPort])
    try {
      await test()
    } finally {
      await agent.stop()
      await until(() => running.server.status().agents.length === 0, 'the agent is gone')
    }
  }
  const nothingOpen = (): boolean => running.server.status().openConnections === 0
  async function open(endpoint: Endpoint): Promise<Socket> {
    const { status, socket, reply } = await connectThrough(running.udsName, endpoint.address)
    assert.equal(status, 200, reply)
    return socket
  }

  it('carries bytes exactly in both directions', () =>
    withAgent(async () => {
      await using endpoint = await startEndpoint(echo)
      const socket = await open(endpoint)
      const reading = readHash(socket, 64 * MIB)
      assert.equal(await writeRandom(socket, 64 * MIB), await reading)
      socket.end()
      await once(socket, 'close')
      await until(nothingOpen, 'the connection is forgotten')
      await until(() => endpoint.sockets.size === 0, 'the endpoint was closed')
    }))

  it('keeps moving with many connections busy in both directions', () =>
    withAgent(async () => {
      await using endpoint = await startEndpoint(echo)
      const transfers = Array.from({ length: 32 }, async () => {
        const socket = await open(endpoint)
        const reading = readHash(socket, 2 * MIB)
        assert.equal(await writeRandom(socket, 2 * MIB), await reading)
        socket.destroy()
      })
      await Promise.all(transfers)
      assert.equal(running.server.status().agents.length, 1)
    }))

  it('delivers what an endpoint sent before it closed, however slowly it is read', () =>
    withAgent(async () => {
      let sent = ''
      await using endpoint = await startEndpoint((socket) => {
        void writeRandom(socket, 16 * MIB).then((hash) => {
          sent = hash
          socket.end()
        })
      })
      const socket = await open(endpoint)
      socket.write('x')
      await new Promise((resolve) => setTimeout(resolve, 500))
      const hash = await readHash(socket, 16 * MIB)
      assert.equal(hash, sent)
      await once(socket, 'end')
      socket.end()
      await until(nothingOpen, 'the connection is forgotten')
    }))

  it('delivers what a client sent before it closed', () =>
    withAgent(async () => {
      const received: Promise<string>[] = []
      await using endpoint = await startEndpoint((socket) => received.push(readHash(socket, 4 * MIB)))
      const socket = await open(endpoint)
      const sent = await writeRandom(socket, 4 * MIB)
      socket.end()
      assert.equal(await received[0], sent)
      socket.destroy()
      await until(nothingOpen, 'the connection is forgotten')
    }))

  it('holds an endpoint that speaks first back until the client has its reply', () =>
    withAgent(async () => {
      await using endpoint = await startEndpoint((socket) => socket.write('hello'))
      // connectThrough fails when bytes follow the header block.
      const socket = await open(endpoint)
      socket.resume()
      assert.equal(String(await once(socket, 'data')), 'hello')
      socket.destroy()
    }))

  it('lets neither a blocked reader nor a blocked endpoint hold up other connections', () =>
    withAgent(async () => {
      await using flood = await startEndpoint((socket) => void writeRandom(socket, 1024 * MIB).catch(() => undefined))
      await using hole = await startEndpoint((socket) => socket.pause())
      await using healthy = await startEndpoint(echo)
      const unread = await open(flood)
      unread.write('x')
      unread.pause()
      const unreadable = await open(hole)
      const written = writeRandom(unreadable, 1024 * MIB)
      written.catch(() => undefined)
      await eventually(async () => {
        const page = await (await fetch(`http://127.0.0.1:${running.addresses.adminPort}/metrics`)).text()
        const blocked = (method: string): boolean =>
          page.includes(`full_receive_channels{service_method="${method}"} 1`)
        return blocked('Proxy') && blocked('Connect')
      })
      for (let i = 0; i < 5; i += 1) {
        const socket = await open(healthy)
        const reading = readHash(socket, MIB)
        assert.equal(await writeRandom(socket, MIB), await reading)
        socket.destroy()
      }
      const held = [...flood.sockets].map((socket) => socket.bytesWritten)
      assert.ok(Math.max(...held) < 32 * MIB, `${held.join()} bytes left the endpoint though nobody reads`)
      unread.destroy()
      unreadable.destroy()
      for (const socket of hole.sockets) socket.destroy()
      await until(nothingOpen, 'the connections are forgotten')
    }))

  it('answers a refused dial with 502 and the reason, and one without agent with 503', async () => {
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const address = `127.0.0.1:${(probe.address() as AddressInfo).port}`
    probe.close()
    await withAgent(async () => {
      const { status, reply } = await connectThrough(running.udsName, address)
      assert.equal(status, 502)
      assert.match(reply, /connection refused/)
    })
    const { status, reply } = await connectThrough(running.udsName, address)
    assert.equal(status, 503)
    assert.match(reply, /No agent available/)
  })

  it('refuses what is not a CONNECT', async () => {
    for (const [request, status] of [
      ['GET / HTTP/1.1\r\n\r\n', 405],
      ['CONNECT nonsense HTTP/1.1\r\n\r\n', 400],
      ['CONNECT a:0 HTTP/1.1\r\n\r\n', 400],
      [`CONNECT a:1 HTTP/1.1\r\nX: ${'x'.repeat(9000)}\r\n\r\n`, 431],
      ['\x16\x03\x01\r\n\r\n', 400],
    ] as const) {
      const socket = connect(running.udsName)
      socket.write(request)
      assert.match(String(await once(socket, 'data')), new RegExp(`^HTTP/1.1 ${status} `), request.slice(0, 30))
      await once(socket, 'close')
    }
  })

  it('leaves nothing behind after 1000 dials and aborts', () =>
    withAgent(async () => {
      await using endpoint = await startEndpoint(echo)
      for (let round = 0; round < 20; round += 1) {
        const batch = Array.from({ length: 50 }, async (_, i) => {
          const socket = connect(running.udsName)
          socket.on('error', () => undefined)
          socket.write(`CONNECT ${endpoint.address} HTTP/1.1\r\n\r\n`)
          // Abort before, during and after the dial.
          if (i % 3 === 0) await once(socket, 'connect')
          if (i % 3 === 1) await new Promise((resolve) => setImmediate(resolve))
          if (i % 3 === 2) await once(socket, 'data')
          socket.destroy()
        })
        await Promise.all(batch)
      }
      const counts = (): unknown => ({
        open: running.server.status().openConnections,
        pending: running.server.status().agents[0]?.pendingDials,
        endpoints: endpoint.sockets.size,
      })
      const clean = { open: 0, pending: 0, endpoints: 0 }
      await until(() => JSON.stringify(counts()) === JSON.stringify(clean), 'all is closed').catch(() => undefined)
      assert.deepEqual(counts(), clean)
    }))
})

async function eventually(check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await check())) assert.ok(performance.now() < deadline, 'in time')
}
