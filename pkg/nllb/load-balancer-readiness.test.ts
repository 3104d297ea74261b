import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { silentLogger } from '#pkg/log/logger.ts'
import type { Health } from '#pkg/nllb/health.ts'
import { LoadBalancer } from '#pkg/nllb/load-balancer.ts'
import { ReadinessProbe } from '#pkg/nllb/readiness-probe.ts'
import { clientCredentials, TestApiServer } from '#pkg/nllb/testing/api-server.ts'

const worker = clientCredentials('k0s:worker:one')

describe('LoadBalancer over API servers', () => {
  let stack: AsyncDisposableStack
  let a: TestApiServer
  let b: TestApiServer
  let balancer: LoadBalancer
  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    a = stack.use(await new TestApiServer('a').start())
    b = stack.use(await new TestApiServer('b').start())
    balancer = new LoadBalancer(
      { listenHost: '127.0.0.1', listenPort: 0 },
      {
        log: silentLogger,
        probe: (address, { onLost }) =>
          new ReadinessProbe({ address, credentials: () => Promise.resolve(worker), onLost }),
      },
    )
    stack.defer(() => balancer.stop())
    balancer.setBackends([a.address, b.address])
  })
  afterEach(() => stack.disposeAsync())

  async function until(wanted: readonly Health[]): Promise<void> {
    const found = (): string =>
      balancer
        .status()
        .backends.map(({ health }) => health)
        .join()
    while (found() !== wanted.join()) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  /** A client with a connection of its own. */
  function open(): ClientHttp2Session {
    const { caPem: ca, certPem: cert, keyPem: key } = worker
    const session = connectHttp2(`https://127.0.0.1:${balancer.port}`, { ca, cert, key })
    stack.defer(() => session.destroy())
    return session.on('error', () => undefined)
  }
  async function nameOf(session: ClientHttp2Session): Promise<string> {
    let name = ''
    for await (const chunk of session.request({ ':path': '/name' }).setEncoding('utf8')) name += String(chunk)
    return name
  }
  const names = async (count: number): Promise<readonly string[]> => {
    const found = new Set<string>()
    for (let i = 0; i < count; i += 1) found.add(await nameOf(open()))
    return [...found].sort()
  }

  it('gives no connection to one that answers but is not ready, and some again when it is', async () => {
    a.readyz = () => ({ status: 500, body: '[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\n' })
    await balancer.start()
    await until(['unready', 'ready'])
    assert.deepEqual(await names(4), ['b'])
    a.readyz = () => ({ status: 200 })
    await until(['ready', 'ready'])
    assert.deepEqual(await names(4), ['a', 'b'])
  })

  it('does not use one that comes back before it serves', async () => {
    await balancer.start()
    await until(['ready', 'ready'])
    const { port } = a.address
    await a[Symbol.asyncDispose]()
    await until(['closed', 'ready'])
    const next = stack.use(await new TestApiServer('a').start(port))
    next.readyz = () => 'nothing'
    await until(['unready', 'ready'])
    assert.deepEqual(await names(4), ['b'])
    next.readyz = () => ({ status: 200 })
    await until(['ready', 'ready'])
  })

  it('tries those that are not ready when none is, which does not make them so', async () => {
    for (const server of [a, b]) server.readyz = () => ({ status: 500 })
    await balancer.start()
    await until(['unready', 'unready'])
    assert.deepEqual(await names(4), ['a', 'b'])
    await until(['unready', 'unready'])
    const kept = open()
    assert.match(await nameOf(kept), /a|b/)
    assert.ok(!kept.destroyed)
  })

  it('moves the clients of one that stands still, keeps those of the other, and uses it again later', async () => {
    await balancer.start()
    await until(['ready', 'ready'])
    const clients = [open(), open()]
    const found = await Promise.all(clients.map(nameOf))
    assert.deepEqual(found.toSorted(), ['a', 'b'])
    const onA = clients[found.indexOf('a')]!
    const onB = clients[found.indexOf('b')]!
    a.freeze()
    await once(onA, 'close')
    assert.deepEqual(await names(4), ['b'])
    assert.equal(await nameOf(onB), 'b')
    a.thaw()
    await until(['ready', 'ready'])
    assert.deepEqual(await names(4), ['a', 'b'])
  })

  it('moves nobody while the others do not serve either', async () => {
    await balancer.start()
    await until(['ready', 'ready'])
    const clients = [open(), open()]
    for (const client of clients) await nameOf(client)
    for (const server of [a, b]) server.readyz = () => 'nothing'
    await until(['unready', 'unready'])
    for (const server of [a, b]) server.readyz = () => ({ status: 200 })
    await until(['ready', 'ready'])
    for (const client of clients) assert.match(await nameOf(client), /a|b/)
  })

  it('ends a request that one leaves without answer which does not serve', async () => {
    await balancer.start()
    await until(['ready', 'ready'])
    const client = open()
    const ill = (await nameOf(client)) === 'a' ? a : b
    ill.readyz = () => 'nothing'
    const stuck = client.request({ ':path': '/readyz' })
    stuck.on('error', () => undefined)
    await once(client, 'close')
    assert.ok(stuck.closed)
  })
})
