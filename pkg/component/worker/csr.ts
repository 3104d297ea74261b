import { createHash, X509Certificate } from 'node:crypto'
import { createCsr } from '#pkg/certificate/csr.ts'
import { publicKeyPem } from '#pkg/certificate/key.ts'
import { csrWaitingAnnotation } from '#pkg/constant/identity.ts'
import { isAlreadyExists } from '#pkg/kubernetes/errors.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { resources } from '#pkg/kubernetes/resources.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { JoinError } from '#pkg/component/worker/errors.ts'
import type { CertificateRequest } from '#pkg/component/worker/node-credentials.ts'

/** Signers of client certificates (certificates.k8s.io, Kubernetes signers). */
export type ClientSigner = 'kubernetes.io/kube-apiserver-client-kubelet' | 'kubernetes.io/kube-apiserver-client'

/** Approval and signing take two controllers a few milliseconds each; asking at this rate costs nothing beside that. */
const POLL_MS = 50

/** How a request is made. */
export interface RequestOptions {
  readonly signerName: ClientSigner
  readonly signal: AbortSignal
  /** Told at each look why the controllers have not approved it yet, where they say so. */
  readonly onWaiting: (reason: string) => void
}

/**
 * Requests a client certificate and waits until it is issued. The name of the request follows from the key and the
 * subject, so that a repeated call, after a kill even, continues with the request that is there.
 *
 * @throws JoinError when the request is denied or the signer fails it
 */
export async function requestCertificate(
  client: KubeClient,
  request: CertificateRequest,
  { signerName, signal, onWaiting }: RequestOptions,
): Promise<string> {
  const name = csrName(request)
  const body = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: {
      request: Buffer.from(createCsr(request)).toString('base64'),
      signerName,
      usages: ['digital signature', 'client auth'],
    },
  }
  let csr: SigningRequest | undefined
  for (;;) {
    csr ??= await createOrAdopt(client, name, body, signal)
    const issued = issuedCertificate(csr, request)
    if (issued !== undefined) return issued
    const reason = csr?.metadata.annotations?.[csrWaitingAnnotation]
    if (reason !== undefined) onWaiting(reason)
    await sleep(POLL_MS, { signal })
    // A request is removed an hour after it was decided, ten minutes after it was left undecided: then ask again.
    csr = await client.find<SigningRequest>(resources.certificateSigningRequests, name, { signal })
  }
}

/** Name of a request: the same for the same key and subject, as the kubelet names its own. */
export function csrName({ commonName, organizations, keyPem }: CertificateRequest): string {
  const hash = createHash('sha256')
  for (const part of [publicKeyPem(keyPem), commonName, ...organizations]) hash.update(part).update('\0')
  return `k0s-csr-${hash.digest('hex').slice(0, 32)}`
}

interface SigningRequest extends KubeObject {
  readonly status?: {
    readonly certificate?: string
    readonly conditions?: readonly { readonly type: string; readonly reason?: string; readonly message?: string }[]
  }
}

async function createOrAdopt(
  client: KubeClient,
  name: string,
  body: KubeObject,
  signal: AbortSignal,
): Promise<SigningRequest | undefined> {
  try {
    return await client.create<SigningRequest>(resources.certificateSigningRequests, body, { signal })
  } catch (err) {
    if (!isAlreadyExists(err)) throw err
    return await client.get<SigningRequest>(resources.certificateSigningRequests, name, { signal })
  }
}

function issuedCertificate(csr: SigningRequest | undefined, request: CertificateRequest): string | undefined {
  if (csr === undefined) return undefined
  const refusal = csr.status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed')
  if (refusal !== undefined) {
    const why = [refusal.reason, refusal.message].filter((text) => text !== undefined && text !== '').join(': ')
    throw new JoinError(
      `the certificate for ${request.commonName} was ${refusal.type === 'Denied' ? 'denied' : 'not signed'} (${why}); see "k0s kubectl describe csr ${csr.metadata.name}" on a controller`,
    )
  }
  if (csr.status?.certificate === undefined) return undefined
  const pem = Buffer.from(csr.status.certificate, 'base64').toString('utf8')
  const issuedFor = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'pem' })
  if (issuedFor !== publicKeyPem(request.keyPem)) {
    throw new JoinError(
      `the signing request ${csr.metadata.name} was made by somebody else; delete it with "k0s kubectl delete csr ${csr.metadata.name}" on a controller`,
    )
  }
  return pem
}
