import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { silentLogger } from '#pkg/log/logger.ts'
import { LoadBalancer, LoadBalancerListenError, type LoadBalancerDeps } from '#pkg/nllb/load-balancer.ts'
import { ConnectProbe, EchoServer } from '#pkg/nllb/testing/echo-server.ts'

const deps: LoadBalancerDeps = { log: silentLogger, probe: (address) => new ConnectProbe(address) }

async function startBalancer(stack: AsyncDisposableStack, servers: readonly EchoServer[]): Promise<LoadBalancer> {
  const backends = servers.map(({ address }) => address)
  const balancer = new LoadBalancer({ listenHost: '127.0.0.1', listenPort: 0, backends }, deps)
  stack.defer(() => balancer.stop())
  await balancer.start()
  return balancer
}

/** Connects and reads the name of the backend. */
async function open(balancer: LoadBalancer): Promise<{ socket: Socket; name: string }> {
  const socket = connect({ port: balancer.port, host: '127.0.0.1', allowHalfOpen: true })
  const [name] = (await once(socket, 'data')) as [Buffer]
  socket.on('error', () => undefined)
  return { socket, name: name.toString() }
}

describe('LoadBalancer', () => {
  let stack: AsyncDisposableStack
  let a: EchoServer
  let b: EchoServer
  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    a = stack.use(await new EchoServer('a').start())
    b = stack.use(await new EchoServer('b').start())
  })
  afterEach(() => stack.disposeAsync())

  it('spreads connections over its backends', async () => {
    const balancer = await startBalancer(stack, [a, b])
    const names = [await open(balancer), await open(balancer)].map(({ name }) => name)
    assert.deepEqual(names.toSorted(), ['a', 'b'])
  })

  it('passes bytes exactly, and the end of one direction without the other', async () => {
    const balancer = await startBalancer(stack, [a])
    const { socket } = await open(balancer)
    const sent = randomBytes(8 * 1024 * 1024)
    const hash = createHash('sha256')
    socket.on('data', (chunk: Buffer) => hash.update(chunk))
    const ended = once(socket, 'end')
    socket.end(sent)
    await ended
    assert.equal(hash.digest('hex'), createHash('sha256').update(sent).digest('hex'))
  })

  it('gives a connection to the next backend when one is dead, and uses it again when it is back', async () => {
    const balancer = await startBalancer(stack, [a, b])
    const { port } = a.address
    await a[Symbol.asyncDispose]()
    for (let i = 0; i < 4; i += 1) assert.equal((await open(balancer)).name, 'b')
    assert.equal(balancer.status().backends[0]?.health, 'closed')
    stack.use(await new EchoServer('a2').start(port))
    while (!balancer.status().backends.every(({ health }) => health === 'ready'))
      await new Promise((r) => setTimeout(r, 20))
    const names = [await open(balancer), await open(balancer)].map(({ name }) => name)
    assert.deepEqual(names.toSorted(), ['a2', 'b'])
  })

  it('closes connections to a removed backend and keeps the others', async () => {
    const balancer = await startBalancer(stack, [a, b])
    const connections = [await open(balancer), await open(balancer)]
    const onA = connections.find(({ name }) => name === 'a')!
    const onB = connections.find(({ name }) => name === 'b')!
    const closed = once(onA.socket, 'end')
    balancer.setBackends([b.address])
    await closed
    onB.socket.write('still here')
    assert.equal(String(await once(onB.socket, 'data')), 'still here')
  })

  it('uses a new backend from the next connection on', async () => {
    const balancer = await startBalancer(stack, [])
    const refused = connect({ port: balancer.port, host: '127.0.0.1' })
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNRESET')
    balancer.setBackends([b.address])
    assert.equal((await open(balancer)).name, 'b')
  })

  it('reads a client no faster than its backend does', async () => {
    const balancer = await startBalancer(stack, [a])
    const { socket } = await open(balancer)
    const [onServer] = a.sockets
    onServer!.unpipe(onServer)
    onServer!.pause()
    const chunk = Buffer.alloc(1024 * 1024)
    let written = 0
    while (socket.write(chunk, () => (written += chunk.length)) || socket.writableLength < 64 * chunk.length);
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.ok(written < 32 * chunk.length, `${written} bytes were taken while nobody read`)
    socket.destroy()
  })

  it('leaves nothing behind', async () => {
    const balancer = await startBalancer(stack, [a, b])
    for (let i = 0; i < 100; i += 1) (await open(balancer)).socket.destroy()
    const open_ = (): number =>
      balancer.status().backends.reduce((sum, { openConnections }) => sum + openConnections, 0)
    while (open_() > 0) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.equal(a.sockets.size + b.sockets.size, 0)
  })

  it('names the port that it cannot have', async () => {
    const balancer = new LoadBalancer({ listenHost: '127.0.0.1', listenPort: a.address.port }, deps)
    await assert.rejects(balancer.start(), (error) => {
      assert.ok(error instanceof LoadBalancerListenError)
      assert.match(error.message, new RegExp(`127.0.0.1:${a.address.port}.*EADDRINUSE`))
      return true
    })
  })
})
