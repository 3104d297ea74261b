import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import { freePort, startKine } from '#pkg/kine/testing/servers.ts'

describe('runKine, encrypted', function () {
  this.timeout(60_000)
  let dir: string

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kine-run-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('serves TLS to clients with a certificate of the given authority only', async () => {
    const ca = createCa({ commonName: 'ca', validForMs: 3_600_000 })
    const issue = (commonName: string, usage: 'server' | 'client', issuer = ca): { certPem: string; keyPem: string } =>
      issueCertificate(issuer, {
        commonName,
        usages: [usage],
        dnsNames: ['localhost'],
        ips: ['127.0.0.1'],
        validForMs: 60_000,
      })
    const pair = issue('kine', 'server')
    const files = { ca: join(dir, 'ca.crt'), cert: join(dir, 'server.crt'), key: join(dir, 'server.key') }
    await Promise.all([
      writeFile(files.ca, ca.certPem),
      writeFile(files.cert, pair.certPem),
      writeFile(files.key, pair.keyPem),
    ])
    const port = await freePort()
    await using server = await startKine(dir, {
      listenAddress: `tcp://127.0.0.1:${port}`,
      serverCertFile: files.cert,
      serverKeyFile: files.key,
      trustedCaFile: files.ca,
    })
    assert.ok(server)
    const connect = (client: { certPem: string; keyPem: string }): EtcdClient =>
      new EtcdClient(`localhost:${port}`, { caPem: ca.certPem, ...client })
    const good = connect(issue('apiserver', 'client'))
    assert.equal((await good.put('a', 'b')).header.revision, 2)
    const stranger = connect(issue('apiserver', 'client', createCa({ commonName: 'ca', validForMs: 3_600_000 })))
    await assert.rejects(stranger.put('a', 'c'), { code: 14 })
    const plain = new EtcdClient(`127.0.0.1:${port}`)
    await assert.rejects(plain.put('a', 'c'), { code: 14 })
    for (const client of [good, stranger, plain]) client.close()
  })
})
