import { bits, child, dotted, fromDer, toDer } from '#pkg/certificate/asn1.ts'
import { fromPem } from '#pkg/certificate/pem.ts'

/** What is needed to verify a certificate's signature. */
export interface SignatureParts {
  /** The signed part, DER. */
  readonly tbs: Buffer
  readonly signature: Buffer
  /** Dotted object identifier. */
  readonly algorithm: string
}

/** Takes a PEM certificate apart. @throws CertificateError when it is malformed. */
export function signatureParts(pem: string): SignatureParts {
  const certificate = fromDer(fromPem('CERTIFICATE', pem))
  return {
    tbs: toDer(child(certificate, 0)),
    signature: bits(child(certificate, 2)),
    algorithm: dotted(child(child(certificate, 1), 0)),
  }
}
