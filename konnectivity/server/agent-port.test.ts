import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFile, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { connect as connectTls, createSecureContext } from 'node:tls'
import { X509Certificate } from 'node:crypto'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { TlsFiles } from '#konnectivity/server/tls-files.ts'
import { tokenAuthenticator } from '#konnectivity/server/token-authenticator.ts'
import { UnprovenConnections } from '#konnectivity/server/unproven.ts'
import { agentSubject, TunnelFixture } from '#konnectivity/testing/runners.ts'
import { paths } from '#konnectivity/tunnel/protocol.ts'

describe('agent port', function () {
  this.timeout(30_000)
  let fixture: TunnelFixture
  beforeEach(async () => {
    fixture = await TunnelFixture.create({ createCa, issueCertificate })
  })
  afterEach(() => fixture[Symbol.asyncDispose]())

  function session(port: number, identity?: { certPem: string; keyPem: string }): ClientHttp2Session {
    const proof = identity && { cert: identity.certPem, key: identity.keyPem }
    const made = connectHttp2(`https://127.0.0.1:${port}`, { ca: fixture.ca.caPem, ...proof })
    made.on('error', () => undefined)
    fixture.defer(() => made.destroy())
    return made
  }
  const headersOf = (path: string, more: Readonly<Record<string, string | string[]>> = {}) => ({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    agentid: 'a',
    ...more,
  })

  it('bounds connections without proof, at the cost of the address that has most', async () => {
    const unproven = new UnprovenConnections({ limit: 4, timeoutMs: 60_000 })
    const accepted: Socket[] = []
    const server = createServer((socket) => {
      accepted.push(socket)
      unproven.add(socket)
    }).listen(0, '0.0.0.0')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = async (localAddress: string): Promise<Socket> => {
      const before = accepted.length
      const socket = connect({ port, host: '127.0.0.1', localAddress })
      socket.on('error', () => undefined).resume()
      await until(() => accepted.length > before, 'accepted')
      return socket
    }
    const honest = await client('127.0.0.2')
    const flood: Socket[] = []
    for (let i = 0; i < 20; i += 1) flood.push(await client('127.0.0.1'))
    await until(() => flood.filter(({ closed }) => !closed).length === 3, 'the flood lost its oldest')
    assert.deepEqual([honest.closed, unproven.size], [false, 4])
    unproven.prove(accepted[0] as Socket)
    assert.equal(unproven.size, 3)
    for (const socket of [honest, ...flood]) socket.destroy()
    await until(() => unproven.size === 0, 'all are forgotten')
    server.close()
  })

  it('serves nothing but one call of Connect before an agent is accepted, and one after', async () => {
    const { addresses, server } = await fixture.startServer()
    const early = session(addresses.agentPort)
    const stream = early.request(headersOf(paths.connection, { 'x-k0s-tunnel-dial': '1' }), { endStream: false })
    stream.on('error', () => undefined)
    await once(early, 'close')
    const twice = session(addresses.agentPort, await fixture.ca.issue(agentSubject('worker-0')))
    const first = twice.request(headersOf(paths.connect), { endStream: false })
    first.on('error', () => undefined)
    await once(first, 'response')
    assert.equal(server.status().agents.length, 1)
    twice.request(headersOf(paths.connect), { endStream: false }).on('error', () => undefined)
    await once(twice, 'close')
    await until(() => server.status().agents.length === 0, 'the offender is gone')
  })

  it('refuses two tokens, none, and a wrong one with UNAUTHENTICATED, and an unasked API server with UNAVAILABLE', async () => {
    let reviewed = 0
    const authenticator = tokenAuthenticator(
      { agentNamespace: 'kube-system', agentServiceAccount: 'agent', authenticationAudience: 'tunnel' },
      {
        reviewer: {
          review: (token) => {
            reviewed += 1
            if (token === 'unasked') return Promise.reject(new Error('connection refused'))
            const username = 'system:serviceaccount:kube-system:agent'
            return Promise.resolve({ authenticated: token === 'good', username, audiences: ['tunnel'], error: '' })
          },
        },
      },
    )
    const { addresses, server } = await fixture.startServer({ clusterCaCert: undefined as never }, { authenticator })
    const answer = async (authorization?: string | string[]): Promise<string | undefined> => {
      const stream = session(addresses.agentPort).request(
        headersOf(paths.connect, authorization === undefined ? {} : { authorization }),
        { endStream: false },
      )
      stream.on('error', () => undefined)
      const [headers] = (await once(stream, 'response')) as [Record<string, string>]
      return headers['grpc-status']
    }
    assert.equal(await answer(), '16')
    assert.equal(await answer('Bearer good, Bearer good'), '16')
    assert.equal(reviewed, 0)
    assert.equal(await answer('Bearer bad'), '16')
    assert.equal(await answer('Bearer unasked'), '14')
    assert.equal(await answer('Bearer good'), undefined)
    assert.equal(server.status().agents.length, 1)
  })

  it('uses a certificate that was renewed, and keeps the old one while the new one is half written', async () => {
    const [old, renewed, other] = await Promise.all(
      [1, 2, 3].map(() => fixture.ca.issue({ commonName: 'konnectivity-server' })),
    )
    assert.ok(old && renewed && other)
    let warnings = 0
    const file = (path: string, flag: string) => ({ path, flag })
    const files = new TlsFiles(
      {
        cert: file(old.certPath, 'cluster-cert'),
        key: file(old.keyPath, 'cluster-key'),
        ca: undefined,
        minVersion: 'TLSv1.2',
        ciphers: undefined,
      },
      { log: { ...silentLogger, warn: () => (warnings += 1) }, everyMs: 10 },
    )
    const contexts: string[] = []
    await files.read()
    files.follow({
      setSecureContext: (context) => {
        createSecureContext(context)
        contexts.push(String(context.cert))
      },
    })
    await writeFile(old.certPath, '')
    await until(() => warnings === 1, 'it is looked at')
    await copyFile(other.certPath, old.certPath)
    await until(() => warnings > 1, 'it is looked at again')
    assert.deepEqual(contexts, [], 'no certificate, or one without its key, is not used')
    await copyFile(renewed.certPath, old.certPath)
    await copyFile(renewed.keyPath, old.keyPath)
    await until(() => contexts.length === 1, 'the pair is used')
    assert.equal(contexts[0], renewed.certPem)
    files.stop()
  })

  it('shows a renewed certificate to the next agent', async () => {
    const certificate = await fixture.ca.issue({ commonName: 'konnectivity-server' })
    const { addresses } = await fixture.startServer(
      { clusterCert: certificate.certPath, clusterKey: certificate.keyPath },
      { reloadEveryMs: 20 },
    )
    const serial = async (): Promise<string> => {
      const socket = connectTls({ port: addresses.agentPort, host: '127.0.0.1', ca: fixture.ca.caPem })
      await once(socket, 'secureConnect')
      const shown = new X509Certificate(socket.getPeerCertificate().raw).serialNumber
      socket.destroy()
      return shown
    }
    const before = await serial()
    const renewed = await fixture.ca.issue({ commonName: 'konnectivity-server' })
    await copyFile(renewed.certPath, certificate.certPath)
    await copyFile(renewed.keyPath, certificate.keyPath)
    const deadline = performance.now() + 8_000
    while ((await serial()) === before) assert.ok(performance.now() < deadline, 'the new one is shown')
  })
})
