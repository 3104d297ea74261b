import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { inClusterAccess } from '#pkg/kubernetes/in-cluster.ts'
import { FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import { tokenFile } from '#pkg/kubernetes/token-file.ts'

describe('access from a pod', () => {
  it('is the Service of the API server, with the token and the authority of the account', async () => {
    await using dir = await tempDir()
    await writeFile(join(dir.path, 'token'), 'one\n')
    await writeFile(join(dir.path, 'ca.crt'), 'CA')
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' }
    const { server, caPem, readToken } = await inClusterAccess(env, dir.path)
    assert.deepEqual([server, caPem, await readToken?.()], ['https://[fd00::1]:443', 'CA', 'one'])
    await assert.rejects(inClusterAccess({ ...env, KUBERNETES_SERVICE_PORT: '' }, dir.path), /this is no pod/)
    await rm(join(dir.path, 'token'))
    await assert.rejects(inClusterAccess(env, dir.path), /cannot use the service account of this pod: ENOENT/)
  })
})

describe('a token in a file', () => {
  it('is read again, and is the one before while the file is away', async () => {
    await using dir = await tempDir()
    const path = join(dir.path, 'token')
    const [always, later] = [tokenFile(path, { everyMs: 0 }), tokenFile(path)]
    await assert.rejects(always(), { code: 'ENOENT' })
    await writeFile(path, 'one\n')
    assert.deepEqual(await Promise.all([always(), later()]), ['one', 'one'])
    await writeFile(path, 'two\n')
    assert.deepEqual(await Promise.all([always(), later()]), ['two', 'one'])
    await rm(path)
    assert.equal(await always(), 'two')
  })

  it('is in each request of a client', async () => {
    await using dir = await tempDir()
    await using api = await FakeApiServer.start()
    const path = join(dir.path, 'token')
    await writeFile(path, 'one')
    const client = new KubeClient({ server: api.url, readToken: tokenFile(path, { everyMs: 0 }) })
    try {
      for (const token of ['one', 'two']) {
        await writeFile(path, token)
        await client.request('GET', '/version').catch(() => undefined)
        assert.equal(api.requests.at(-1)?.headers['authorization'], `Bearer ${token}`)
      }
    } finally {
      client.close()
    }
  })
})
