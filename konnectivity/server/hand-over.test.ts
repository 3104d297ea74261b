import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import type { Socket } from 'node:net'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { findPredecessor } from '#konnectivity/server/hand-over.ts'
import { connectThrough } from '#konnectivity/testing/connect-client.ts'
import { echo, startEndpoint } from '#konnectivity/testing/endpoints.ts'
import type { Endpoint } from '#konnectivity/testing/endpoints.ts'
import { TunnelFixture } from '#konnectivity/testing/runners.ts'
import type { RunningServer } from '#konnectivity/testing/runners.ts'
import { TunnelListenError } from '#konnectivity/tunnel/listen.ts'

describe('hand-over to a successor', function () {
  this.timeout(30_000)
  let fixture: TunnelFixture
  let old: RunningServer
  let endpoint: Endpoint
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
    old = await fixture.startServer()
    endpoint = await startEndpoint(echo)
    fixture.defer(async () => endpoint[Symbol.asyncDispose]())
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  const agents = ({ server }: RunningServer): number => server.status().agents.length
  async function successor(agentWaitMs = 0): Promise<RunningServer> {
    const running = await fixture.startServer({ ...old.addresses, serverPort: 0, udsName: old.udsName, agentWaitMs })
    return { ...running, udsName: old.udsName }
  }
  /** Dials, sends one word and waits for its echo. */
  async function call(): Promise<Socket> {
    const { status, reply, socket } = await connectThrough(old.udsName, endpoint.address)
    assert.equal(status, 200, reply)
    socket.on('error', () => undefined)
    socket.resume().write('x')
    await once(socket, 'data')
    return socket
  }

  it('refuses no dial, moves the agents and leaves open connections in peace', async () => {
    const workers = ['worker-0', 'worker-1', 'worker-2']
    await Promise.all(workers.map((name) => fixture.startAgent(name, [old.addresses.agentPort])))
    const [busy, silent] = [await call(), await call()]
    const silence = once(silent, 'end')
    let echoed = 0
    busy.on('data', () => (echoed += 1))
    const beat = setInterval(() => busy.write('.'), 50)
    let calls = 0
    let over = false
    const calling = Promise.all(
      Array.from({ length: 4 }, async () => {
        for (; !over; calls += 1) (await call()).destroy()
      }),
    )
    await until(() => calls > 20, 'calls are made')
    const fresh = await successor()
    await old.server.handedOver
    const stopped = old.server.stop()
    const before = calls
    await until(() => calls > before + 50, 'calls go on')
    await silence
    over = true
    await calling
    assert.equal(agents(fresh), workers.length)
    const soFar = echoed
    await until(() => echoed > soFar + 5, 'the busy connection goes on')
    clearInterval(beat)
    await stopped
    assert.equal(agents(old), 0)
    assert.ok(existsSync(old.udsName), 'the path is left to the successor')
    ;(await call()).destroy()
    assert.equal(statSync(`${old.udsName}.handover`).mode & 0o777, 0o600)
  })

  it('cuts what is still in use at the end, and counts it', async () => {
    await fixture.startAgent('worker-0', [old.addresses.agentPort])
    const hurried = await fixture.startServer({ handoverTimeoutMs: 300 })
    await fixture.startAgent('worker-1', [hurried.addresses.agentPort])
    old = hurried
    const busy = await call()
    const beat = setInterval(() => busy.write('.'), 20)
    await successor()
    await old.server.handedOver
    const metrics = await fetch(`http://127.0.0.1:${old.addresses.adminPort}/metrics`)
    assert.equal(metrics.status, 200)
    await old.server.stop()
    await until(() => busy.destroyed, 'the busy connection is cut')
    clearInterval(beat)
  })

  describe('with an agent of upstream', () => {
    beforeEach(() => fixture.startAgent('worker-0', [old.addresses.agentPort], { flow: 'packets' }))

    it('waits for it: it comes when it carries nothing, and no dial fails', async () => {
      let calls = 0
      let over = false
      const callOn = async (): Promise<void> => {
        for (; !over; calls += 1) (await call()).destroy()
      }
      const calling = callOn()
      await until(() => calls > 10, 'calls are made')
      const fresh = await successor(5_000)
      await old.server.handedOver
      const stopped = old.server.stop()
      await until(() => agents(fresh) === 1, 'it came')
      const before = calls
      await until(() => calls > before + 10, 'calls go on')
      over = true
      await Promise.all([calling, stopped])
    })

    it('does not wait for ever: what it carries is cut, and counted', async () => {
      const busy = await call()
      const beat = setInterval(() => busy.write('.'), 50)
      fixture.defer(() => clearInterval(beat))
      const fresh = await successor(5_000)
      await old.server.handedOver
      const stopped = old.server.stop()
      const waiting = call()
      assert.deepEqual([agents(old), agents(fresh)], [1, 0])
      ;(await waiting).destroy()
      assert.equal(agents(fresh), 1)
      assert.ok(busy.destroyed)
      await stopped
    })
  })

  it('goes on when the successor goes away before it took over', async () => {
    const agent = await fixture.startAgent('worker-0', [old.addresses.agentPort])
    const other = await findPredecessor(`${old.udsName}.handover`)
    assert.deepEqual(await other?.prepare(), { moving: 1, staying: 0 })
    // Dials still come here.
    ;(await call()).destroy()
    other?.close()
    await until(() => agents(old) === 2, 'the agent came back on a new connection')
    const states = (): string =>
      agent
        .status()
        .map(({ state }) => state)
        .join()
    await until(() => states() === 'draining,connected', 'the first connection is spared')
    ;(await call()).destroy()
    await fixture.startAgent('worker-1', [old.addresses.agentPort])
  })

  it('serves without agents that do not come, and its dials wait for them', async () => {
    const fresh = await fixture.startServer({
      ...old.addresses,
      serverPort: 0,
      udsName: old.udsName,
      agentWaitMs: 5_000,
    })
    const calling = call()
    await fixture.startAgent('worker-0', [fresh.addresses.agentPort])
    ;(await calling).destroy()
    await old.server.stop()
  })

  it('is between processes that know of each other: a port that another holds is an error', async () => {
    await assert.rejects(fixture.startServer({ agentPort: old.addresses.agentPort }), TunnelListenError)
    const [first, second] = await Promise.all([1, 2].map(() => findPredecessor(`${old.udsName}.handover`)))
    await first?.prepare()
    assert.deepEqual(await second?.prepare(), { moving: 0, staying: 0 })
    await until(() => second?.alive === false, 'only one may take over')
    first?.close()
    second?.close()
  })
})
