import assert from 'node:assert/strict'
import { describe, it, beforeEach, afterEach } from 'mocha'
import { createCsr } from '#pkg/certificate/csr.ts'
import { generateKeyPem } from '#pkg/certificate/key.ts'
import { CsrApprover } from '#pkg/component/cluster/csr-approver.ts'
import { signers } from '#pkg/component/cluster/csr-policy.ts'
import { csrWaitingAnnotation } from '#pkg/constant/identity.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { resources } from '#pkg/kubernetes/resources.ts'
import { fail, FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

const keyPem = generateKeyPem()

describe('CsrApprover', () => {
  let server: FakeApiServer
  let client: KubeClient
  let approver: CsrApprover
  let lines: string[]
  beforeEach(async () => {
    server = await FakeApiServer.start()
    client = new KubeClient({ server: server.url })
    approver = new CsrApprover({ reserved: () => [] }, { client: { get: () => Promise.resolve(client) } })
    lines = []
    const log = { ...silentLogger, info: (message: string) => void lines.push(message) }
    await approver.start({ signal: new AbortController().signal, log })
    await until(() => server.openWatches === 1)
    await approver.ready()
  })
  afterEach(async () => {
    await approver.stop()
    client.close()
    await server.stop()
  })

  it('approves a kubelet that joins, by watch', async () => {
    const before = server.requests.length
    server.add(csr('a', { signer: signers.kubeletClient, username: 'system:bootstrap:abcdef' }))
    await until(() => isApproved('a'))
    const seen = server.requests.slice(before).map(({ method, path }) => `${method} ${path.split('/').at(-1) ?? ''}`)
    assert.deepEqual(seen, ['GET w0', 'PUT approval'])
  })

  it('gives nobody the name of a node that is alive, says so to who asks, and does once it is silent or deleted', async () => {
    for (const gone of ['silent', 'deleted']) {
      server.add(w0('True'))
      server.add(csr(gone, { signer: signers.kubeletClient, username: 'system:bootstrap:abcdef' }))
      const told = (): string | undefined =>
        server.find(resources.certificateSigningRequests, gone)?.metadata.annotations?.[csrWaitingAnnotation]
      await until(() => told() !== undefined)
      assert.match(told() ?? '', /another host is node w0, and alive/)
      const looks = (): number => server.requests.filter(({ path }) => path === '/api/v1/nodes/w0').length
      const before = looks()
      await until(() => looks() > before + 1)
      assert.equal(isApproved(gone), false)
      if (gone === 'silent') server.add(w0('Unknown'))
      else server.remove(w0('True'))
      await until(() => isApproved(gone))
    }
  })

  it('lets a node renew its certificate while it is alive', async () => {
    server.add(w0('True'))
    server.add(csr('r', { signer: signers.kubeletClient }))
    await until(() => isApproved('r'))
  })

  it('does not approve a first certificate while the node cannot be read', async () => {
    let isReadable = false
    server.intercept = ({ path }, response) => {
      if (path !== '/api/v1/nodes/w0' || isReadable) return false
      fail(response, 500, 'InternalError', 'no store')
      return true
    }
    server.add(csr('u', { signer: signers.kubeletClient, username: 'system:bootstrap:abcdef' }))
    await until(() => server.requests.filter(({ path }) => path === '/api/v1/nodes/w0').length > 2)
    assert.equal(isApproved('u'), false)
    isReadable = true
    await until(() => isApproved('u'))
  })

  it('approves a serving certificate once the node reports the address', async () => {
    server.add(csr('s', { signer: signers.kubeletServing, ips: ['10.0.0.5'] }))
    await until(() => server.requests.some(({ path }) => path === '/api/v1/nodes/w0'))
    assert.equal(isApproved('s'), false)
    const status = { addresses: [{ type: 'InternalIP', address: '10.0.0.5' }] }
    server.add({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'w0' }, status })
    await until(() => isApproved('s'))
  })

  it('leaves what it does not vouch for, and says so once', async () => {
    server.add(csr('x', { signer: signers.kubeletClient, username: 'eve' }))
    await until(() => lines.length === 1)
    server.add({ ...csr('x', { signer: signers.kubeletClient, username: 'eve' }), extra: 1 })
    server.add(csr('other', { signer: 'example.org/signer' }))
    server.add(csr('a', { signer: signers.kubeletClient }))
    await until(() => isApproved('a') && lines.length === 2)
    assert.deepEqual(lines, ['certificate request left alone', 'certificate request approved'])
    assert.equal(isApproved('x') || isApproved('other'), false)
  })

  it('tries again when the API server does not take the approval', async () => {
    let refused = 0
    server.intercept = ({ method }, response) => {
      if (method !== 'PUT' || refused === 2) return false
      refused += 1
      fail(response, 500, 'InternalError', 'no store')
      return true
    }
    server.add(csr('a', { signer: signers.kubeletClient }))
    await until(() => isApproved('a'))
    assert.equal(refused, 2)
  })

  function isApproved(name: string): boolean {
    const found = server.find(resources.certificateSigningRequests, name)
    const { conditions = [] } = (found?.['status'] ?? {}) as { conditions?: { type: string }[] }
    return conditions.some(({ type }) => type === 'Approved')
  }
})

/** The node, with this status of its condition Ready. */
function w0(status: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'w0' },
    status: { conditions: [{ type: 'Ready', status }] },
  }
}

function csr(name: string, options: { signer: string; username?: string; ips?: string[] }): KubeObject {
  const { signer, username = 'system:node:w0', ips = [] } = options
  const isServing = signer === signers.kubeletServing
  const request = createCsr({ commonName: 'system:node:w0', organizations: ['system:nodes'], ips, keyPem })
  const group = username.startsWith('system:bootstrap') ? 'system:bootstrappers' : 'system:nodes'
  return {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: {
      signerName: signer,
      username,
      groups: [group, 'system:authenticated'],
      usages: ['digital signature', isServing ? 'server auth' : 'client auth'],
      request: Buffer.from(request).toString('base64'),
    },
  }
}
