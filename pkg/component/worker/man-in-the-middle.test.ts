import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { ApiCredentials } from '#pkg/component/worker/api-credentials.ts'
import { JoinError } from '#pkg/component/worker/errors.ts'
import { nodeCertificate } from '#pkg/component/worker/node-certificate.ts'
import { testWorkerContext } from '#pkg/component/worker/testing/worker-config.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const validForMs = 3_600_000

describe('a man in the middle of a worker that joins', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`with another authority gets no byte of a request over ${version}`, async () => {
      const dir = await mkdtemp(join(tmpdir(), 'middle-'))
      const other = createCa({ commonName: 'kubernetes-ca', validForMs })
      const serving = { commonName: 'kubernetes', ips: ['127.0.0.1'], usages: ['server'] as const, validForMs }
      const { certPem: cert, keyPem: key } = issueCertificate(other, serving)
      const received: Buffer[] = []
      let handshakes = 0
      const server = tls.createServer({ cert, key, minVersion: version, maxVersion: version }, (socket) => {
        handshakes += 1
        socket.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => undefined)
      })
      server.on('tlsClientError', () => (handshakes += 1)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const credentials = new ApiCredentials(
        {
          caPem: createCa({ commonName: 'kubernetes-ca', validForMs }).certPem,
          servers: () => [`127.0.0.1:${(server.address() as AddressInfo).port}`],
          token: 'abcdef.0123456789abcdef',
          nodePemFile: join(dir, 'none'),
          workerPemFile: join(dir, 'none'),
        },
        { log: silentLogger },
      )
      const { signal } = new AbortController()
      await assert.rejects(
        nodeCertificate(testWorkerContext(dir, credentials)).start({ signal, log: silentLogger }),
        JoinError,
      )
      await new Promise((closed) => server.close(closed))
      await rm(dir, { recursive: true })
      assert.ok(handshakes > 0, 'it was asked')
      assert.deepEqual(received, [])
    })
  }
})
