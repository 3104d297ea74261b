import { canonicalIp } from '#pkg/certificate/alt-names.ts'
import { toDer } from '#pkg/certificate/asn1.ts'
import type { CertificateAuthority } from '#pkg/certificate/authority.ts'
import { leafExtensions, type Usage } from '#pkg/certificate/extensions.ts'
import { generateKeyPem, loadPrivateKey, spkiDer, verifySignature } from '#pkg/certificate/key.ts'
import { encodeName } from '#pkg/certificate/name.ts'
import { parseCertificate } from '#pkg/certificate/parse.ts'
import { signatureParts } from '#pkg/certificate/signature-parts.ts'
import { signCertificate } from '#pkg/certificate/sign.ts'
import { renewAt, validityFrom } from '#pkg/certificate/validity.ts'

/** What a certificate is for. */
export interface CertificateRequest {
  /** The user name in Kubernetes. */
  readonly commonName: string
  /** The groups in Kubernetes. */
  readonly organizations?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly ips?: readonly string[]
  readonly usages: readonly Usage[]
  /** Milliseconds; a certificate never outlives its authority. */
  readonly validForMs: number
}

/** A certificate and its private key, PEM. */
export interface IssuedCertificate {
  readonly certPem: string
  readonly keyPem: string
}

/** Signs a certificate for a new key (or for `keyPem`). */
export function issueCertificate(
  ca: CertificateAuthority,
  request: CertificateRequest,
  options: { readonly keyPem?: string; readonly now?: Date } = {},
): IssuedCertificate {
  const { commonName, organizations = [], dnsNames = [], ips = [], usages, validForMs } = request
  const keyPem = options.keyPem ?? generateKeyPem()
  const key = loadPrivateKey(keyPem)
  const { notBefore, notAfter } = validityFrom(options.now ?? new Date(), validForMs)
  const caEnd = ca.certificate.notAfter
  const certPem = signCertificate(
    {
      subjectDer: toDer(encodeName({ commonName, organizations })),
      issuerDer: ca.certificate.subjectDer,
      spki: spkiDer(key),
      extensions: leafExtensions({
        usages,
        altNames: { dnsNames, ips, uris: [], emails: [] },
        issuerKeyIdentifier: ca.certificate.keyIdentifier,
        rsa: key.asymmetricKeyType === 'rsa',
      }),
      notBefore,
      notAfter: notAfter < caEnd ? notAfter : caEnd,
    },
    ca.key,
  )
  return { certPem, keyPem }
}

/**
 * Why an existing certificate has to be replaced, or undefined to keep it. Pure but for reading the PEM: everything that
 * decides is in the arguments.
 */
export function renewalReason(
  existing: Partial<IssuedCertificate>,
  request: CertificateRequest,
  ca: CertificateAuthority,
  now: Date,
): string | undefined {
  if (existing.certPem === undefined || existing.keyPem === undefined) return 'missing'
  try {
    const certificate = parseCertificate(existing.certPem)
    const { tbs, signature, algorithm } = signatureParts(existing.certPem)
    if (!spkiDer(loadPrivateKey(existing.keyPem)).equals(certificate.spki)) return 'key does not match'
    if (!certificate.issuerDer.equals(ca.certificate.subjectDer)) return 'signed by another authority'
    if (!verifySignature(tbs, signature, ca.certificate.spki, algorithm)) return 'signed by another authority'
    if (now >= renewAt(certificate)) return `expires ${certificate.notAfter.toISOString()}`
    if (now < certificate.notBefore) return `not valid before ${certificate.notBefore.toISOString()}`
    if (certificate.commonName !== request.commonName) return 'subject changed'
    if (!sameSet(certificate.organizations, request.organizations)) return 'subject changed'
    if (!sameSet(certificate.dnsNames, request.dnsNames)) return 'DNS names changed'
    if (!sameSet(certificate.ips, (request.ips ?? []).map(canonicalIp))) return 'IP addresses changed'
    if (!sameSet(certificate.usages, request.usages)) return 'usages changed'
    return undefined
  } catch {
    return 'unreadable'
  }
}

function sameSet(a: readonly string[], b: readonly string[] = []): boolean {
  const wanted = new Set(b)
  return new Set(a).size === wanted.size && a.every((item) => wanted.has(item))
}
