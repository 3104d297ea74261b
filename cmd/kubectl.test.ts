import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ctrEnvironment } from '#cmd/ctr.ts'
import { findKubeconfig, takeDataDir } from '#cmd/kubectl.ts'

describe('k0s kubectl', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'k0s-kubectl-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('takes only a --data-dir in first place', () => {
    assert.deepEqual(takeDataDir(['--data-dir=/x', 'get']), { dataDir: '/x', rest: ['get'] })
    assert.deepEqual(takeDataDir(['--data-dir', '/x', 'get']), { dataDir: '/x', rest: ['get'] })
    const foreign = ['exec', 'pod', '--', 'server', '--data-dir=/x']
    assert.deepEqual(takeDataDir(foreign), { dataDir: '/var/lib/k0s', rest: foreign })
  })

  it("uses the controller's kubeconfig, then the one beside the executable, then kubectl's own", async () => {
    const self = join(dir, 'k0s')
    const admin = join(dir, 'admin.conf')
    const beside = join(dir, 'kubeconfig')
    assert.equal(await findKubeconfig({ env: {}, self }, ['get'], admin), undefined)
    await writeFile(beside, '')
    assert.equal(await findKubeconfig({ env: {}, self }, ['get'], admin), beside)
    await writeFile(admin, '')
    assert.equal(await findKubeconfig({ env: {}, self }, ['get'], admin), admin)
  })

  it('leaves the choice to the user who made one', async () => {
    const admin = join(dir, 'admin.conf')
    await writeFile(admin, '')
    const self = join(dir, 'k0s')
    assert.equal(await findKubeconfig({ env: { KUBECONFIG: '/x' }, self }, ['get'], admin), undefined)
    assert.equal(await findKubeconfig({ env: {}, self }, ['get', '--kubeconfig=/x'], admin), undefined)
    assert.equal(await findKubeconfig({ env: {}, self }, ['--kubeconfig', '/x', 'get'], admin), undefined)
    const foreign = ['exec', 'pod', '--', 'cmd', '--kubeconfig=/x']
    assert.equal(await findKubeconfig({ env: { KUBECONFIG: '' }, self }, foreign, admin), admin)
  })
})

describe('k0s ctr', () => {
  it("points to the node's containerd unless told otherwise", () => {
    const env = ctrEnvironment({ PATH: '/bin' })
    assert.match(env['CONTAINERD_ADDRESS'] ?? '', /containerd\.sock$/)
    assert.equal(env['CONTAINERD_NAMESPACE'], 'k8s.io')
    assert.equal(ctrEnvironment({ CONTAINERD_NAMESPACE: 'moby' })['CONTAINERD_NAMESPACE'], 'moby')
  })
})
