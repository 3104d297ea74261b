import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { createCa } from '#pkg/certificate/authority.ts'
import { generateKeyPem } from '#pkg/certificate/key.ts'
import { ApiCredentials } from '#pkg/component/worker/api-credentials.ts'
import { csrName } from '#pkg/component/worker/csr.ts'
import { JoinError } from '#pkg/component/worker/errors.ts'
import { hasNodeCertificate, nodeCertificate } from '#pkg/component/worker/node-certificate.ts'
import { parsePemPair, renewalTime } from '#pkg/component/worker/pem-file.ts'
import { startSigningApi, type SigningApi } from '#pkg/component/worker/testing/signing-api.ts'
import { testWorkerContext } from '#pkg/component/worker/testing/worker-config.ts'
import { identityKubeconfig, identityPemFile } from '#pkg/component/worker/layout.ts'
import { WorkerCertificates } from '#pkg/component/worker/worker-certificates.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'
import { csrWaitingAnnotation, workerIdentities, type WorkerIdentityName } from '#pkg/constant/identity.ts'
import { fail } from '#pkg/kubernetes/testing/fake-api-server.ts'
import { parseKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import { silentLogger, type Logger } from '#pkg/log/logger.ts'

describe('joining', () => {
  let dir: string
  let signing: SigningApi
  let context: WorkerContext
  let abort: AbortController
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'joining-'))
    signing = await startSigningApi()
    abort = new AbortController()
    context = testWorkerContext(dir, credentials())
  })
  afterEach(async () => {
    abort.abort(new Error('test ended'))
    await signing[Symbol.asyncDispose]()
    await rm(dir, { recursive: true })
  })

  const start = () => ({ signal: abort.signal, log: silentLogger })
  function credentials(
    options: { readonly caPem?: string; readonly servers?: readonly string[]; readonly log?: Logger } = {},
  ): ApiCredentials {
    const { caPem = signing.ca.certPem, servers = [signing.address], log = silentLogger } = options
    const files = { nodePemFile: join(dir, 'kubelet/pki/kubelet-client-current.pem'), workerPemFile: join(dir, 'none') }
    return new ApiCredentials({ caPem, servers: () => servers, token: 'abcdef.0123456789abcdef', ...files }, { log })
  }

  it('gets the certificate of the node with the token, and leaves what the kubelet expects', async () => {
    await nodeCertificate(context).start(start())
    const { kubeletClientPem, kubeletPkiDir, bootstrapKeyFile } = context.layout
    assert.match(await readlink(kubeletClientPem), /^kubelet-client-\d{4}(-\d\d){5}[.]pem$/, 'a link within its folder')
    const pair = parsePemPair(await readFile(kubeletClientPem, 'utf8'))
    assert.equal(new X509Certificate(pair?.certPem ?? '').subject, 'O=system:nodes\nCN=system:node:w0')
    assert.equal(await hasNodeCertificate(kubeletClientPem), true)
    await assert.rejects(readFile(bootstrapKeyFile), /ENOENT/)
    assert.deepEqual((await readdir(kubeletPkiDir)).length, 2)
    const created = signing.api.requests.find(({ method }) => method === 'POST')
    assert.equal(created?.headers.authorization, 'Bearer abcdef.0123456789abcdef')
  })

  it('asks for nothing when the node has joined', async () => {
    await nodeCertificate(context).start(start())
    const before = signing.api.requests.length
    await nodeCertificate(context).start(start())
    assert.equal(signing.api.requests.length, before)
  })

  it('continues with the same key and request after a kill at any point', async () => {
    signing.decide = () => 'wait'
    const killed = new AbortController()
    const first = nodeCertificate(context).start({ ...start(), signal: killed.signal })
    while (!signing.api.requests.some(({ method }) => method === 'GET'))
      await new Promise((resolve) => setImmediate(resolve))
    const key = await readFile(context.layout.bootstrapKeyFile, 'utf8')
    killed.abort(new Error('killed'))
    await assert.rejects(first)
    // A kill does not clean up as an orderly end does.
    await mkdir(join(context.layout.bootstrapKeyFile, '..'), { recursive: true })
    await writeFile(context.layout.bootstrapKeyFile, key)
    signing.decide = () => 'sign'
    await nodeCertificate(context).start(start())
    const pair = parsePemPair(await readFile(context.layout.kubeletClientPem, 'utf8'))
    assert.equal(pair?.keyPem.trim(), key.trim())
    const names = signing.api.requests
      .filter(({ method }) => method === 'POST')
      .map(({ body }) => (body as { metadata: { name: string } }).metadata.name)
    assert.equal(new Set(names).size, 1, 'one signing request')
  })

  it('names a request after its key and subject', () => {
    const request = {
      identity: 'node',
      commonName: 'system:node:w0',
      organizations: ['system:nodes'],
      keyPem: generateKeyPem(),
    } as const
    assert.equal(csrName(request), csrName({ ...request }))
    assert.notEqual(csrName(request), csrName({ ...request, commonName: 'system:node:w1' }))
    assert.notEqual(csrName(request), csrName({ ...request, keyPem: generateKeyPem() }))
  })

  it('says what its certificate waits for, and goes on', async () => {
    const lines: [string, unknown][] = []
    const warned = Promise.withResolvers<undefined>()
    const warn = (message: string, fields: unknown): void => {
      lines.push([message, fields])
      warned.resolve(undefined)
    }
    signing.decide = (csr) => {
      signing.api.add({ ...csr, metadata: { ...csr.metadata, annotations: { [csrWaitingAnnotation]: 'w0 is alive' } } })
      return 'wait'
    }
    const waiting = testWorkerContext(dir, credentials({ log: { ...silentLogger, warn } }))
    const started = nodeCertificate(waiting).start(start())
    await warned.promise
    signing.decide = () => 'sign'
    await started
    assert.deepEqual(lines, [['waiting for a certificate', { certificate: 'system:node:w0', reason: 'w0 is alive' }]])
  })

  it('says why a request is denied', async () => {
    signing.decide = () => 'deny'
    await assert.rejects(nodeCertificate(context).start(start()), (err: unknown) => {
      assert.ok(err instanceof JoinError)
      assert.match(err.message, /system:node:w0 was denied \(Policy: not this one\).*kubectl describe csr/)
      return true
    })
  })

  it('refuses a server of another cluster at once', async () => {
    const other = testWorkerContext(
      dir,
      credentials({ caPem: createCa({ commonName: 'other', validForMs: 60_000 }).certPem }),
    )
    await assert.rejects(
      nodeCertificate(other).start(start()),
      /is not of the cluster that the join token was made for/,
    )
  })

  it('tries the next server when one does not answer', async () => {
    const both = testWorkerContext(dir, credentials({ servers: ['127.0.0.1:1', signing.address] }))
    await nodeCertificate(both).start(start())
    assert.equal(await hasNodeCertificate(context.layout.kubeletClientPem), true)
  })

  it('waits while a controller that starts refuses, then goes on', async () => {
    const { intercept } = signing.api
    let refusals = 2
    signing.api.intercept = (request, response) => {
      if (request.method !== 'POST' || refusals === 0) return intercept(request, response)
      refusals -= 1
      fail(response, 403, 'Forbidden', 'no permission yet')
      return true
    }
    await nodeCertificate(context).start(start())
    assert.equal(refusals, 0)
  })

  it('gets a certificate and a kubeconfig for each part, in parallel, as the node', async () => {
    await nodeCertificate(context).start(start())
    const certificates = new WorkerCertificates(context)
    await certificates.start(start())
    try {
      await certificates.ready()
      for (const name of Object.keys(workerIdentities) as WorkerIdentityName[]) {
        const file = identityPemFile(context.options.vars, name)
        const pair = parsePemPair(await readFile(file, 'utf8'))
        const { commonNamePrefix, group } = workerIdentities[name]
        assert.equal(new X509Certificate(pair?.certPem ?? '').subject, `O=${group}\nCN=${commonNamePrefix}:w0`)
        const kubeconfig = parseKubeconfig(await readFile(identityKubeconfig(context.options.vars, name), 'utf8'))
        assert.equal(kubeconfig.server, 'https://127.0.0.1:7443')
        assert.deepEqual([kubeconfig.certFile, kubeconfig.keyFile], [file, file])
      }
    } finally {
      await certificates.stop()
    }
  })

  it('keeps certificates that are not due and replaces torn ones', async () => {
    await nodeCertificate(context).start(start())
    const certificates = new WorkerCertificates(context)
    await certificates.start(start())
    await certificates.stop()
    const felix = identityPemFile(context.options.vars, 'felix')
    await writeFile(felix, (await readFile(felix, 'utf8')).slice(0, 300))
    const before = signing.api.requests.filter(({ method }) => method === 'POST').length
    const renewed: string[] = []
    certificates.onRenewed((identity) => renewed.push(identity))
    await certificates.start(start())
    await certificates.stop()
    assert.equal(signing.api.requests.filter(({ method }) => method === 'POST').length, before + 1)
    assert.deepEqual(renewed, ['felix'])
  })
})

describe('renewalTime', () => {
  it('is at two thirds of the life', () => {
    assert.deepEqual(renewalTime({ notBefore: new Date(0), notAfter: new Date(3_000) }), new Date(2_000))
  })
})

describe('hasNodeCertificate', () => {
  it('is false for a missing and for a damaged file', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'pem-'))
    try {
      assert.equal(await hasNodeCertificate(join(dir, 'none')), false)
      await mkdir(join(dir, 'sub'))
      await writeFile(join(dir, 'bad'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
      assert.equal(await hasNodeCertificate(join(dir, 'bad')), false)
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})
