import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'mocha'
import { KubeconfigError, loadKubeconfig, parseKubeconfig, renderKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'

describe('kubeconfig', () => {
  it('renders what it parses', () => {
    const token = {
      server: 'https://10.0.0.1:6443',
      caPem: 'CA\n',
      token: 'abcdef.0123456789abcdef',
      user: 'kubelet-bootstrap',
    }
    const text = renderKubeconfig(token)
    assert.match(text, /^apiVersion: v1\nkind: Config\n/)
    assert.deepEqual(parseKubeconfig(text), { ...token, cluster: 'k0s', context: 'k0s' })
    const files = {
      server: 'https://[::1]:6443',
      certFile: 'a.crt',
      keyFile: '/b.key',
      user: 'u',
      cluster: 'c',
      context: 'x',
    }
    assert.deepEqual(parseKubeconfig(renderKubeconfig(files)), files)
  })

  it('loads the files that a kubeconfig names, relative to its own folder', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'k0s-kubeconfig-'))
    try {
      await writeFile(join(dir, 'c.crt'), 'CERT')
      await writeFile(
        join(dir, 'k.conf'),
        renderKubeconfig({ server: 'https://h:1', caPem: 'CA', certFile: 'c.crt', keyPem: 'KEY' }),
      )
      const options = await loadKubeconfig(join(dir, 'k.conf'))
      assert.deepEqual(options, {
        server: 'https://h:1',
        caPem: 'CA',
        certPem: 'CERT',
        keyPem: 'KEY',
        token: undefined,
      })
      await writeFile(join(dir, 't'), 'TOKEN\n')
      await writeFile(join(dir, 't.conf'), renderKubeconfig({ server: 'https://h:1', token: 'old', tokenFile: 't' }))
      assert.equal(await (await loadKubeconfig(join(dir, 't.conf'))).readToken?.(), 'TOKEN')
      await assert.rejects(loadKubeconfig(join(dir, 'none')), /cannot use kubeconfig .*none: ENOENT/)
    } finally {
      await rm(dir, { recursive: true })
    }
  })

  it('refuses what is no kubeconfig, in one line', () => {
    for (const text of [
      '',
      '{',
      'kind: Config',
      'kind: Pod',
      'kind: Config\ncurrent-context: x\ncontexts: []',
      '- a\n- b: [',
    ]) {
      assert.throws(
        () => parseKubeconfig(text),
        (thrown: unknown) => {
          assert.ok(thrown instanceof KubeconfigError, text)
          assert.ok(!thrown.message.includes('\n'))
          return true
        },
      )
    }
  })
})
