import assert from 'node:assert/strict'
import https from 'node:https'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import tls from 'node:tls'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'mocha'
import { JoinClient, JoinDelayedError, JoinRefusedError } from '#pkg/api/client.ts'
import { startJoinApi, type JoinApiDeps } from '#pkg/api/server.ts'
import { createCa, type CertificateAuthority } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { K0sError } from '#pkg/errors/error.ts'
import type { Logger } from '#pkg/log/logger.ts'

class Unhealthy extends K0sError {
  override readonly code = 'ERR_ETCD_MEMBERSHIP'
}

const ca = createCa({ commonName: 'kubernetes-ca', validForMs: 3_600_000 })
const serving = (by: CertificateAuthority) =>
  issueCertificate(by, { commonName: 'k0s-api', ips: ['127.0.0.1'], usages: ['server'], validForMs: 3_600_000 })
const authority = { keyPem: 'KEY', certPem: 'CERT', saKeyPem: 'SA KEY', saPublicPem: 'SA PUB' }
const etcd = { ca: { key: 'RUtFWQ==', cert: 'RUNFUlQ=', saKey: '', saPub: '' }, initialCluster: ['c0=a', 'c1=b'] }
const good = 'abcdef.0123456789abcdef'
const signal = (): AbortSignal => AbortSignal.timeout(5_000)

/** Everything that was logged, as text. */
function recorder(): Logger & { readonly lines: string[] } {
  const lines: string[] = []
  const note = (message: string, fields?: object): void => void lines.push(`${message} ${JSON.stringify(fields ?? {})}`)
  const log = { lines, debug: note, info: note, warn: note, error: note, child: () => log }
  return log
}

async function start(deps: Partial<JoinApiDeps> = {}, limit: object = {}) {
  const log = recorder()
  const server = await startJoinApi(
    { host: '127.0.0.1', port: 0, ...serving(ca), refusalLimit: limit },
    {
      checkToken: (token) =>
        Promise.resolve(
          token === good ? { valid: true, id: 'abcdef' } : { valid: false, reason: 'wrong secret for token abcdef' },
        ),
      authority,
      log,
      ...deps,
    },
  )
  const url = `https://127.0.0.1:${String(server.port)}`
  return {
    log,
    url,
    client: (token: string, caPem = ca.certPem) => new JoinClient({ server: url, caPem, token }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** What the server answers to bytes of a request, unwrapped. */
async function raw(
  url: string,
  path: string,
  { headers = {}, method = 'GET', body }: { headers?: Record<string, string>; method?: string; body?: string } = {},
): Promise<{ status: number | undefined; headers: IncomingMessage['headers']; text: string }> {
  const request = https.request(`${url}${path}`, { ca: ca.certPem, agent: false, method, headers })
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return { status: response.statusCode, headers: response.headers, text }
}

describe('join API', () => {
  it('hands the authorities to whoever has a token, under the names of k0s', async () => {
    await using server = await start()
    assert.deepEqual(await server.client(good).authority(signal()), authority)
    const { text } = await raw(server.url, '/v1beta1/ca', { headers: { authorization: `Bearer ${good}` } })
    assert.deepEqual(JSON.parse(text), { key: 'S0VZ', cert: 'Q0VSVA==', saKey: 'U0EgS0VZ', saPub: 'U0EgUFVC' })
  })

  it('makes a host a member of etcd, and says why it cannot now', async () => {
    let asked: unknown
    let healthy = true as boolean
    await using server = await start({
      joinEtcd: (request) => {
        asked = request
        return healthy ? Promise.resolve(etcd) : Promise.reject(new Unhealthy('etcd is unhealthy: c2 does not answer'))
      },
    })
    const request = { node: 'c1', peerAddress: '10.0.0.2' }
    const joined = await server.client(good).joinEtcd(request, signal())
    assert.deepEqual(asked, request)
    assert.deepEqual(joined.initialCluster, etcd.initialCluster)
    assert.equal(joined.authority.keyPem, 'EKEY')
    healthy = false
    await assert.rejects(server.client(good).joinEtcd(request, signal()), (err: unknown) => {
      assert.ok(err instanceof JoinDelayedError)
      assert.match(err.message, /c2 does not answer/)
      return true
    })
  })

  it('has no etcd where the controllers have none', async () => {
    await using server = await start()
    await assert.rejects(
      server.client(good).joinEtcd({ node: 'c1', peerAddress: '10.0.0.2' }, signal()),
      /run no etcd of their own/,
    )
  })

  it('says "go away" to everybody else; the reason is in the log only, and no secret is', async () => {
    const server = await start()
    const bad = 'abcdef.ffffffffffffffff'
    for (const headers of [{}, { authorization: `Bearer ${bad}` }, { authorization: 'Basic eA==' }]) {
      for (const path of ['/v1beta1/ca', '/', '/v1beta1/etcd/members']) {
        const { status, text } = await raw(server.url, path, { headers: headers })
        assert.equal(status, 401)
        assert.equal(text, 'go away\n')
      }
    }
    await assert.rejects(server.client(bad).authority(signal()), JoinRefusedError)
    await server[Symbol.asyncDispose]()
    const log = server.log.lines.join('\n')
    assert.match(log, /wrong secret for token abcdef/)
    assert.match(log, /no bearer token/)
    assert.ok(!log.includes('ffffffffffffffff') && !log.includes(good))
  })

  it('does not listen to a source that was refused too often, whatever it shows then', async () => {
    await using server = await start({}, { refusals: 2, windowMs: 60_000 })
    for (let i = 0; i < 2; i += 1) await assert.rejects(server.client('x').authority(signal()), JoinRefusedError)
    const { status, text, headers } = await raw(server.url, '/v1beta1/ca', {
      headers: { authorization: `Bearer ${good}` },
    })
    assert.equal(status, 429)
    assert.equal(text, 'go away\n')
    assert.ok(Number(headers['retry-after']) > 0)
  })

  it('counts what it refuses: a flood is a few lines in the log', async () => {
    const server = await start({}, { refusals: 2, windowMs: 60_000 })
    for (let i = 0; i < 50; i += 1) assert.match(String((await raw(server.url, '/v1beta1/ca')).status), /401|429/)
    await server[Symbol.asyncDispose]()
    const counts = server.log.lines.map((line) => Number(/"count":(\d+)/.exec(line)?.[1] ?? 1))
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      50,
      server.log.lines.join('\n'),
    )
    assert.ok(server.log.lines.length < 10, server.log.lines.join('\n'))
    assert.match(server.log.lines.join('\n'), /127\.0\.0\.1 \(too many refusals of this source\): \d\d/)
  })

  it('refuses nobody while tokens cannot be checked: it is to be tried again', async () => {
    await using server = await start({ checkToken: () => Promise.reject(new Error('no API server')) })
    await assert.rejects(server.client(good).authority(signal()), JoinDelayedError)
  })

  it('takes no long and no malformed request', async () => {
    await using server = await start({ joinEtcd: () => Promise.resolve(etcd) })
    const headers = { authorization: `Bearer ${good}` }
    const post = (body: string) => raw(server.url, '/v1beta1/etcd/members', { method: 'POST', headers, body })
    for (const body of [
      '',
      '{',
      '[]',
      '{"node":"c1"}',
      '{"node":"../c1","peerAddress":"10.0.0.2"}',
      'x'.repeat(5_000),
    ]) {
      assert.equal((await post(body)).status, 400, body.slice(0, 40))
    }
  })
})

describe('a man in the middle', () => {
  it('with another authority gets no byte of a request', async () => {
    const received: Buffer[] = []
    const other = createCa({ commonName: 'kubernetes-ca', validForMs: 3_600_000 })
    const { certPem, keyPem } = serving(other)
    const server = tls.createServer({ cert: certPem, key: keyPem }, (socket) => {
      socket.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => undefined)
    })
    server.on('tlsClientError', () => undefined).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = new JoinClient({ server: `https://127.0.0.1:${String(port)}`, caPem: ca.certPem, token: good })
    await assert.rejects(client.authority(signal()), (err: unknown) => {
      assert.ok(err instanceof JoinRefusedError, String(err))
      assert.match(err.message, /not of the cluster that the join token was made for .* nothing was sent/)
      return true
    })
    await new Promise((closed) => server.close(closed))
    assert.deepEqual(received, [])
  })
})
