import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { checkToken } from '#pkg/token/check-token.ts'
import { decodeJoinToken } from '#pkg/token/join-token.ts'
import { writePreSharedToken } from '#pkg/token/pre-shared.ts'

describe('a token made before the cluster', () => {
  const caPem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
  let directory: string
  let certFile: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'k0s-pre-shared-'))
    certFile = join(directory, 'ca.crt')
    await writeFile(certFile, caPem)
  })
  after(() => rm(directory, { recursive: true }))

  for (const role of ['worker', 'controller'] as const) {
    it(`lets a ${role} join once its Secret is in the cluster`, async () => {
      const url = `https://10.0.0.1:${role === 'worker' ? '6443' : '9443'}`
      const expiresAt = new Date(Date.now() + 60_000)
      const files = await writePreSharedToken({ certFile, url, role, directory, expiresAt })
      const token = decodeJoinToken(await readFile(files.token, 'utf8'), role)
      assert.deepEqual([token.server, token.caPem], [url, caPem])
      for (const file of Object.values(files)) assert.equal((await stat(file)).mode & 0o777, 0o640)
      const { id, secret } = token.bootstrapToken
      assert.equal(files.secret, join(directory, `bootstrap-token-${id}.yaml`))
      assert.equal(files.token, join(directory, `token_${id}`))
      const manifest = parse(await readFile(files.secret, 'utf8'))
      const data = Object.fromEntries(
        Object.entries(manifest.stringData as Record<string, string>).map(([k, v]) => [
          k,
          Buffer.from(v).toString('base64'),
        ]),
      )
      const client = { find: () => Promise.resolve({ ...manifest, data }) }
      assert.deepEqual(await checkToken(client, `${id}.${secret}`, { role }), { valid: true, id })
    })
  }

  it('needs a certificate and a URL with TLS', async () => {
    const good = { certFile, url: 'https://10.0.0.1:6443', role: 'worker', directory } as const
    await assert.rejects(writePreSharedToken({ ...good, url: 'http://10.0.0.1' }), /begins with https/)
    await assert.rejects(writePreSharedToken({ ...good, url: '' }), /needs --cert and --url/)
    await assert.rejects(writePreSharedToken({ ...good, certFile: join(directory, 'none') }), /cannot read .*none/)
    await writeFile(join(directory, 'empty'), '')
    await assert.rejects(writePreSharedToken({ ...good, certFile: join(directory, 'empty') }), /not a certificate/)
  })
})
