import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCa } from '#pkg/certificate/authority.ts'
import type { CertificateRequest } from '#pkg/certificate/issue.ts'
import { ensureCa, ensureCertificate, ensureKeyPair } from '#pkg/certificate/store.ts'

const day = 24 * 3600_000
const caOptions = { commonName: 'kubernetes-ca', validForMs: 3650 * day }
const request: CertificateRequest = { commonName: 'admin', usages: ['client'], validForMs: 365 * day }

describe('certificate files', () => {
  let dir: string
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'k0s-store-'))))
  afterEach(() => rm(dir, { recursive: true }))
  const files = (name: string): { certPath: string; keyPath: string } => ({
    certPath: join(dir, `${name}.crt`),
    keyPath: join(dir, `${name}.key`),
  })

  it('are made once and then kept, the key for its owner only', async () => {
    const { ca, outcome } = await ensureCa(files('ca'), caOptions)
    assert.equal(outcome, 'created')
    assert.equal((await stat(files('ca').keyPath)).mode & 0o777, 0o600)
    const again = await ensureCa(files('ca'), caOptions)
    assert.equal(again.outcome, 'kept')
    assert.equal(again.ca.certPem, ca.certPem)
    const leaf = await ensureCertificate(files('admin'), request, ca)
    assert.equal(leaf.outcome, 'created')
    assert.equal((await ensureCertificate(files('admin'), request, ca)).certPem, leaf.certPem)
  })

  it('are renewed when what is asked for changes', async () => {
    const { ca } = await ensureCa(files('ca'), caOptions)
    await ensureCertificate(files('admin'), request, ca)
    const renewed = await ensureCertificate(files('admin'), { ...request, ips: ['10.0.0.1'] }, ca)
    assert.deepEqual([renewed.outcome, renewed.reason], ['renewed', 'IP addresses changed'])
  })

  it('of an authority are signed again with the same key', async () => {
    const first = await ensureCa(files('ca'), caOptions)
    const now = new Date(Date.now() + 3000 * day)
    const renewed = await ensureCa(files('ca'), { ...caOptions, now })
    assert.equal(renewed.outcome, 'renewed')
    assert.equal(renewed.ca.keyPem, first.ca.keyPem)
    assert.notEqual(renewed.ca.certPem, first.ca.certPem)
    await rm(files('ca').certPath)
    assert.equal((await ensureCa(files('ca'), caOptions)).ca.keyPem, first.ca.keyPem)
  })

  it('are never a certificate without its key, also when the disk is full', async () => {
    // A directory that is missing stands for a key that cannot be written.
    const half = { certPath: join(dir, 'ca.crt'), keyPath: join(dir, 'full', 'ca.key') }
    await assert.rejects(ensureCa(half, caOptions), { code: 'ERR_FILE' })
    assert.deepEqual(await readdir(dir), [])
  })

  it('of an authority that cannot be used are named', async () => {
    const { ca } = await ensureCa(files('ca'), caOptions)
    await rm(files('ca').keyPath)
    await assert.rejects(ensureCa(files('ca'), caOptions), /ca\.crt has no key: put it at .*ca\.key/)
    await writeFile(files('ca').keyPath, createCa(caOptions).keyPem)
    await assert.rejects(ensureCa(files('ca'), caOptions), /cannot use .*ca\.crt with .*do not belong together/)
    await writeFile(files('ca').keyPath, ca.keyPem)
    const expired = createCa({ commonName: 'Corp', validForMs: day, now: new Date(Date.now() - 2 * day) })
    await writeFile(files('ca').certPath, expired.certPem)
    await writeFile(files('ca').keyPath, expired.keyPem)
    await assert.rejects(ensureCa(files('ca'), caOptions), /it expired .*put a renewed certificate there/)
  })

  it('of a key pair keep the key and make its public half again', async () => {
    const paths = { keyPath: join(dir, 'sa.key'), publicKeyPath: join(dir, 'sa.pub') }
    const pair = await ensureKeyPair(paths)
    await rm(paths.publicKeyPath)
    assert.deepEqual(await ensureKeyPair(paths), pair)
    assert.equal(await readFile(paths.publicKeyPath, 'utf8'), pair.publicKeyPem)
    await writeFile(paths.keyPath, 'broken')
    await assert.rejects(ensureKeyPair(paths), /cannot use .*sa\.key: the private key cannot be read/)
  })
})
