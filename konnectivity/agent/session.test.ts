import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { openSession } from '#konnectivity/agent/session.ts'
import { Buffers } from '#konnectivity/tunnel/buffers.ts'
import { WINDOW_BUDGET_BYTES } from '#konnectivity/tunnel/protocol.ts'
import { agentSubject, TunnelFixture } from '#konnectivity/testing/runners.ts'

describe('openSession', () => {
  it('quotes a refusal that is not percent-encoded', async () => {
    await using fixture = await TunnelFixture.create({ createCa, issueCertificate })
    const server = await fixture.ca.issue({ commonName: 'proxy' })
    const { certPem, keyPem } = await fixture.ca.issue(agentSubject('w0'))
    const listener = createSecureServer({ cert: server.certPem, key: server.keyPem })
    fixture.defer(() => void listener.close())
    listener.on('stream', (stream) =>
      stream.respond({ ':status': 200, 'grpc-status': '14', 'grpc-message': '100% busy' }, { endStream: true }),
    )
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port } = listener.address() as AddressInfo
    await assert.rejects(
      openSession(
        { host: '127.0.0.1', port },
        {
          tls: { caPem: fixture.ca.caPem, certPem, keyPem },
          hello: { agentId: 'w0', identifiers: '', token: undefined, flow: 'streams' },
          buffers: new Buffers({ limitBytes: WINDOW_BUDGET_BYTES }),
        },
        AbortSignal.timeout(5_000),
      ),
      /the server refused this agent: 100% busy/,
    )
  })
})
