import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import type { Finding } from '#pkg/nllb/health.ts'
import type { BackendAddress } from '#pkg/nllb/open-socket.ts'
import { ReadinessProbe, type ProbeCredentials } from '#pkg/nllb/readiness-probe.ts'
import { clientCredentials, TestApiServer } from '#pkg/nllb/testing/api-server.ts'

const worker = clientCredentials('k0s:worker:one')
const { signal } = new AbortController()

describe('ReadinessProbe', () => {
  let stack: AsyncDisposableStack
  let server: TestApiServer
  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    server = stack.use(await new TestApiServer().start())
  })
  afterEach(() => stack.disposeAsync())

  function probeOf(
    address: BackendAddress,
    { credentials = () => worker, onLost = () => undefined }: Partial<ProbeParts> = {},
  ): ReadinessProbe {
    const probe = new ReadinessProbe({ address, credentials: () => Promise.resolve(credentials()), onLost })
    stack.defer(() => probe.close())
    return probe
  }

  it('asks a ready server again and again over one connection, as the user of its certificate', async () => {
    const users: string[] = []
    server.readyz = (user) => {
      users.push(user)
      return { status: 200 }
    }
    const probe = probeOf(server.address)
    for (let i = 0; i < 3; i += 1) assert.deepEqual(await probe.ask(signal), { health: 'ready' })
    assert.deepEqual(users, ['k0s:worker:one', 'k0s:worker:one', 'k0s:worker:one'])
    assert.equal(server.handshakes, 1)
  })

  it('says which checks fail', async () => {
    server.readyz = () => ({ status: 500, body: '[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n' })
    assert.deepEqual(await probeOf(server.address).ask(signal), {
      health: 'unready',
      reason: '/readyz answered 500: [-]etcd failed: reason withheld',
    })
  })

  for (const status of [401, 403]) {
    it(`does not take ${status} for readiness: a server that starts answers that, too`, async () => {
      server.readyz = () => ({ status })
      const found = await probeOf(server.address).ask(signal)
      assert.deepEqual(found, { health: 'unready', reason: `/readyz answered ${status}` })
    })
  }

  it('tells a server that waits for its store from one that stands still', async () => {
    const probe = probeOf(server.address)
    assert.deepEqual(await probe.ask(signal), { health: 'ready' })
    server.readyz = () => 'nothing'
    assert.deepEqual(await probe.ask(signal), { health: 'unready', reason: '/readyz gives no answer in time' })
    server.freeze()
    assert.equal((await probe.ask(signal)).health, 'silent')
    assert.equal((await probe.ask(signal)).health, 'silent', 'on a new connection')
    server.thaw()
    server.readyz = () => ({ status: 200 })
    assert.deepEqual(await probe.ask(signal), { health: 'ready' })
  })

  it('finds out for less whether a server is still there, and nothing else', async () => {
    const probe = probeOf(server.address)
    assert.deepEqual(await probe.isThere(signal), { health: 'ready' }, 'without a connection it asks all')
    server.readyz = () => 'nothing'
    assert.equal(await probe.isThere(signal), undefined)
    server.freeze()
    assert.equal((await probe.isThere(signal))?.health, 'silent')
    await server[Symbol.asyncDispose]()
    assert.equal((await probe.isThere(signal))?.health, 'closed')
  })

  it('tells a port that is closed from one that takes connections and does not go on', async () => {
    const mute = stack.adopt(createServer().listen(0, '127.0.0.1'), (listener) => void listener.close())
    await once(mute, 'listening')
    const { port } = mute.address() as AddressInfo
    assert.equal((await probeOf({ host: '127.0.0.1', port }).ask(signal)).health, 'silent')
    assert.equal((await probeOf({ host: '127.0.0.1', port: 1 }).ask(signal)).health, 'closed')
  })

  it('sees at once that its connection ends, and finds the next server at the address', async () => {
    const lost = Promise.withResolvers<undefined>()
    const probe = probeOf(server.address, { onLost: () => lost.resolve(undefined) })
    assert.deepEqual(await probe.ask(signal), { health: 'ready' })
    const { port } = server.address
    await server[Symbol.asyncDispose]()
    await lost.promise
    assert.equal((await probe.ask(signal)).health, 'closed')
    stack.use(await new TestApiServer().start(port))
    assert.deepEqual(await probe.ask(signal), { health: 'ready' })
  })

  it('reads its certificate again when the one it came with is refused', async () => {
    let current: ProbeCredentials = clientCredentials('old')
    const probe = probeOf(server.address, { credentials: () => current })
    assert.deepEqual(await probe.ask(signal), { health: 'ready' })
    server.readyz = (user) => ({ status: user === 'old' ? 401 : 200 })
    current = clientCredentials('new')
    assert.deepEqual(await probe.ask(signal), { health: 'ready' })
  })

  it('finds nobody ready before there is a certificate, and still who does not answer', async () => {
    const credentials = (): undefined => undefined
    assert.deepEqual(await probeOf(server.address, { credentials }).ask(signal), { health: 'new' })
    assert.equal((await probeOf({ host: '127.0.0.1', port: 1 }, { credentials }).ask(signal)).health, 'closed')
  })

  it('does not take the word of a server of another cluster', async () => {
    const stranger = clientCredentials('k0s:worker:one', { foreign: true })
    const found = await probeOf(server.address, { credentials: () => stranger }).ask(signal)
    assert.equal(found.health, 'unready')
    assert.match((found as Finding & { reason: string }).reason, /certificate/)
  })

  it('stops to wait when it is told to', async () => {
    server.freeze()
    const stopping = new AbortController()
    const asked = probeOf(server.address).ask(stopping.signal)
    stopping.abort(new Error('stop'))
    await assert.rejects(asked, { message: 'stop' })
  })
})

interface ProbeParts {
  readonly credentials: () => ProbeCredentials | undefined
  readonly onLost: () => void
}
