import { createCa, type CertificateAuthority } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import { resources } from '#pkg/kubernetes/resources.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { certifyCsr } from '#pkg/component/worker/testing/certify-csr.ts'

const HOUR_MS = 3_600_000

/** A fake API server with TLS that decides about signing requests when they are read. */
export interface SigningApi extends AsyncDisposable {
  readonly api: FakeApiServer
  readonly ca: CertificateAuthority
  /** `host:port`. */
  readonly address: string
  /** What becomes of a request; default: it is signed. */
  decide: (csr: KubeObject) => 'sign' | 'deny' | 'wait'
}

/** Starts it. */
export async function startSigningApi(): Promise<SigningApi> {
  const ca = createCa({ commonName: 'test', validForMs: HOUR_MS })
  const served = issueCertificate(ca, {
    commonName: 'api',
    ips: ['127.0.0.1'],
    usages: ['server'],
    validForMs: HOUR_MS,
  })
  const api = await FakeApiServer.start({ cert: served.certPem, key: served.keyPem })
  const signing: SigningApi = {
    api,
    ca,
    address: `127.0.0.1:${api.port}`,
    decide: () => 'sign',
    [Symbol.asyncDispose]: async () => await api.stop(),
  }
  api.intercept = ({ method, path }) => {
    const name = /certificatesigningrequests\/([^/]+)$/.exec(path)?.[1]
    const csr = name === undefined ? undefined : api.find(resources.certificateSigningRequests, name)
    if (method !== 'GET' || csr === undefined || csr['status'] !== undefined) return false
    const decision = signing.decide(csr)
    if (decision === 'deny')
      api.add({ ...csr, status: { conditions: [{ type: 'Denied', reason: 'Policy', message: 'not this one' }] } })
    if (decision === 'sign') api.add({ ...csr, status: { certificate: sign(csr, ca) } })
    return false
  }
  return signing
}

function sign(csr: KubeObject, ca: CertificateAuthority): string {
  const pem = Buffer.from((csr['spec'] as { request: string }).request, 'base64').toString('utf8')
  return Buffer.from(certifyCsr(pem, ca, HOUR_MS)).toString('base64')
}
