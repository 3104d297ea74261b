import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { caDecision, createCa, loadCa } from '#pkg/certificate/authority.ts'
import { createCsr, parseCsr } from '#pkg/certificate/csr.ts'
import { CertificateError } from '#pkg/certificate/errors.ts'
import { issueCertificate, renewalReason, type CertificateRequest } from '#pkg/certificate/issue.ts'
import { generateKeyPem } from '#pkg/certificate/key.ts'
import { parseCertificate } from '#pkg/certificate/parse.ts'

const day = 24 * 3600_000
const caOptions = { commonName: 'kubernetes-ca', validForMs: 3650 * day }
const request: CertificateRequest = {
  commonName: 'kubernetes',
  organizations: ['kubernetes', 'second'],
  dnsNames: ['localhost', 'kubernetes.default.svc'],
  ips: ['127.0.0.1', '::1', 'fd00:0:0::00ff'],
  usages: ['server', 'client'],
  validForMs: 365 * day,
}
const rsaPem = (): string =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey

describe('certificates', () => {
  let dir: string
  before(() => (dir = mkdtempSync(join(tmpdir(), 'k0s-cert-'))))
  after(() => rmSync(dir, { recursive: true }))
  const write = (name: string, data: string): string => {
    writeFileSync(join(dir, name), data)
    return join(dir, name)
  }

  for (const [kind, keyPem] of [
    ['ECDSA', generateKeyPem()],
    ['RSA', rsaPem()],
    ['Ed25519', ed25519Pem()],
  ] as const) {
    it(`of an ${kind} authority are accepted by openssl and node`, () => {
      const ca = createCa({ ...caOptions, keyPem })
      const { certPem } = issueCertificate(ca, request)
      const caFile = write('ca.crt', ca.certPem)
      const out = execFileSync(
        'openssl',
        ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', caFile, write('leaf.crt', certPem)],
        { encoding: 'utf8' },
      )
      assert.match(out, /OK/)
      const leaf = new X509Certificate(certPem)
      assert.ok(leaf.verify(new X509Certificate(ca.certPem).publicKey))
      assert.ok(leaf.checkIssued(new X509Certificate(ca.certPem)))
      assert.equal(leaf.checkIP('fd00::ff'), 'fd00::ff')
      assert.match(leaf.subject, /O=kubernetes\nO=second\nCN=kubernetes/)
      assert.ok(leaf.serialNumber.length >= 28, leaf.serialNumber)
    })
  }

  it('serve a mutual TLS handshake', async () => {
    const ca = createCa(caOptions)
    const serving = issueCertificate(ca, request)
    const client = issueCertificate(ca, { commonName: 'admin', usages: ['client'], validForMs: day })
    const server = tls.createServer(
      { ca: ca.certPem, cert: serving.certPem, key: serving.keyPem, requestCert: true, rejectUnauthorized: true },
      (socket) => socket.end((socket.getPeerX509Certificate()?.subject ?? '').trim()),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const socket = tls.connect({ port, host: '127.0.0.1', ca: ca.certPem, cert: client.certPem, key: client.keyPem })
    const [data] = (await once(socket, 'data')) as [Buffer]
    assert.equal(data.toString(), 'CN=admin')
    socket.destroy()
    server.close()
  })

  it('are read back as they were asked for', () => {
    const ca = createCa(caOptions)
    const { certPem } = issueCertificate(ca, request, { now: new Date('2040-01-01T00:00:00Z') })
    const parsed = parseCertificate(certPem)
    assert.equal(parsed.commonName, 'kubernetes')
    assert.deepEqual(parsed.organizations, ['kubernetes', 'second'])
    assert.deepEqual(parsed.ips, ['127.0.0.1', '::1', 'fd00::ff'])
    assert.deepEqual(parsed.dnsNames, request.dnsNames)
    assert.deepEqual(parsed.usages, ['server', 'client'])
    assert.equal(parsed.isCa, false)
    assert.equal(parsed.notBefore.toISOString(), '2039-12-31T23:55:00.000Z')
    assert.deepEqual(parsed.notAfter, ca.certificate.notAfter, 'a leaf ends with its authority')
    assert.equal(parsed.serial, new X509Certificate(certPem).serialNumber.toLowerCase())
    assert.ok(parseCertificate(ca.certPem).isCa)
  })

  it('may end after 2049', () => {
    const ca = createCa({ ...caOptions, validForMs: 36500 * day })
    assert.ok(new Date(new X509Certificate(ca.certPem).validTo).getUTCFullYear() > 2100)
  })

  describe('renewalReason', () => {
    const ca = createCa(caOptions)
    const now = new Date()
    const issued = issueCertificate(ca, request, { now })
    const at = (days: number): Date => new Date(now.getTime() + days * day)

    it('keeps what fits', () => assert.equal(renewalReason(issued, request, ca, now), undefined))
    it('renews after two thirds of the life', () => {
      assert.equal(renewalReason(issued, request, ca, at(240)), undefined)
      assert.match(renewalReason(issued, request, ca, at(245)) ?? '', /^expires /)
    })
    for (const [change, reason] of [
      [{ commonName: 'other' }, 'subject changed'],
      [{ organizations: [] }, 'subject changed'],
      [{ dnsNames: ['localhost'] }, 'DNS names changed'],
      [{ ips: ['127.0.0.2'] }, 'IP addresses changed'],
      [{ usages: ['server'] }, 'usages changed'],
    ] as const) {
      it(`says ${reason} for ${JSON.stringify(change)}`, () =>
        assert.equal(renewalReason(issued, { ...request, ...change }, ca, now), reason))
    }
    it('sees another authority of the same name', () =>
      assert.equal(renewalReason(issued, request, createCa(caOptions), now), 'signed by another authority'))
    it('sees a foreign key, a broken file and a missing one', () => {
      assert.equal(renewalReason({ ...issued, keyPem: generateKeyPem() }, request, ca, now), 'key does not match')
      assert.equal(renewalReason({ ...issued, certPem: 'x' }, request, ca, now), 'unreadable')
      assert.equal(renewalReason({ certPem: issued.certPem }, request, ca, now), 'missing')
    })
  })

  describe('caDecision', () => {
    const now = new Date()
    const later = new Date(now.getTime() + 3000 * day)
    it('signs our own again after two thirds of its life', () => {
      const { certificate } = createCa({ ...caOptions, now })
      assert.equal(caDecision(certificate, { ...caOptions, now }).action, 'keep')
      assert.equal(caDecision(certificate, { ...caOptions, now: later }).action, 're-sign')
    })
    it("leaves the user's alone until it has expired", () => {
      const { certificate } = createCa({ commonName: 'Corp', validForMs: 3650 * day, now })
      assert.equal(caDecision(certificate, { ...caOptions, now: later }).action, 'keep')
      const end = new Date(now.getTime() + 4000 * day)
      assert.equal(caDecision(certificate, { ...caOptions, now: end }).action, 'refuse')
    })
  })

  it('of an openssl-made RSA authority sign leaves', () => {
    const key = join(dir, 'user-ca.key')
    const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-subj', '/C=FI/O=Corp/CN=Corp CA']
    const certPem = execFileSync('openssl', [...args, '-days', '30'], { encoding: 'utf8', stdio: 'pipe' })
    const keyPem = execFileSync('openssl', ['pkey', '-in', key], { encoding: 'utf8' })
    const ca = loadCa(certPem, keyPem)
    const leaf = new X509Certificate(issueCertificate(ca, request).certPem)
    assert.ok(leaf.checkIssued(new X509Certificate(certPem)))
    assert.ok(leaf.verify(new X509Certificate(certPem).publicKey))
  })

  it('that are no authority, or whose key is another, cannot sign', () => {
    const ca = createCa(caOptions)
    const leaf = issueCertificate(ca, request)
    assert.throws(() => loadCa(leaf.certPem, leaf.keyPem), CertificateError)
    assert.throws(() => loadCa(ca.certPem, generateKeyPem()), /do not belong together/)
  })
})

describe('signing requests', () => {
  const wanted = { commonName: 'system:node:w1', organizations: ['system:nodes'], dnsNames: ['w1'], ips: ['10.0.0.2'] }

  for (const [kind, keyPem] of [
    ['ECDSA', generateKeyPem()],
    ['RSA', rsaPem()],
  ] as const) {
    it(`with an ${kind} key are valid to openssl and read back`, () => {
      const csr = createCsr({ ...wanted, keyPem })
      execFileSync('openssl', ['req', '-verify', '-noout'], { input: csr, stdio: 'pipe' })
      assert.deepEqual(parseCsr(csr), { ...wanted, uris: [], emails: [] })
    })
  }

  it('made by openssl are read', () => {
    const csr = execFileSync(
      'openssl',
      'req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj /O=system:nodes/CN=system:node:a -addext'
        .split(' ')
        .concat('subjectAltName=DNS:a,IP:fe80::1,URI:spiffe://a,email:a@b.example'),
      { encoding: 'utf8', stdio: 'pipe' },
    )
    assert.deepEqual(parseCsr(csr), {
      commonName: 'system:node:a',
      organizations: ['system:nodes'],
      dnsNames: ['a'],
      ips: ['fe80::1'],
      uris: ['spiffe://a'],
      emails: ['a@b.example'],
    })
  })

  it('without names have none', () => {
    const parsed = parseCsr(createCsr({ commonName: 'x', keyPem: generateKeyPem() }))
    assert.deepEqual(parsed, { commonName: 'x', organizations: [], dnsNames: [], ips: [], uris: [], emails: [] })
  })

  it('that were tampered with or cut are refused', () => {
    const der = Buffer.from(createCsr({ ...wanted, keyPem: generateKeyPem() }).replace(/-----.*-----/g, ''), 'base64')
    const pem = (bytes: Buffer): string =>
      `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
    const changed = Buffer.from(der)
    changed.writeUInt8('x'.charCodeAt(0), der.indexOf('system:node:w1'))
    assert.throws(() => parseCsr(pem(changed)), /signature of the signing request/)
    for (const length of [0, 10, der.length - 5]) {
      assert.throws(() => parseCsr(pem(der.subarray(0, length))), CertificateError, `cut to ${length} bytes`)
    }
    assert.throws(() => parseCsr('no pem'), CertificateError)
  })
})

function ed25519Pem(): string {
  return generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey
}
