import { noAltNames } from '#pkg/certificate/alt-names.ts'
import { child, fromDer, toDer } from '#pkg/certificate/asn1.ts'
import type { CertificateAuthority } from '#pkg/certificate/authority.ts'
import { parseCsr } from '#pkg/certificate/csr.ts'
import { leafExtensions } from '#pkg/certificate/extensions.ts'
import { encodeName } from '#pkg/certificate/name.ts'
import { fromPem } from '#pkg/certificate/pem.ts'
import { signCertificate } from '#pkg/certificate/sign.ts'

/** Signs a request as the controller manager does: subject and key are the request's. */
export function certifyCsr(csrPem: string, ca: CertificateAuthority, validForMs: number): string {
  const { commonName, organizations } = parseCsr(csrPem)
  const now = Date.now()
  return signCertificate(
    {
      subjectDer: toDer(encodeName({ commonName, organizations })),
      issuerDer: ca.certificate.subjectDer,
      spki: toDer(child(child(fromDer(fromPem('CERTIFICATE REQUEST', csrPem)), 0), 2)),
      extensions: leafExtensions({
        usages: ['client'],
        altNames: noAltNames,
        issuerKeyIdentifier: ca.certificate.keyIdentifier,
        rsa: false,
      }),
      notBefore: new Date(now - 60_000),
      notAfter: new Date(now + validForMs),
    },
    ca.key,
  )
}
