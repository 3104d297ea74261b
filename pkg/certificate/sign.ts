import { type KeyObject, randomBytes } from 'node:crypto'
import { type Asn1, bitString, fromDer, integer, sequence, tagged, time, toDer } from '#pkg/certificate/asn1.ts'
import { signatureAlgorithm, signNode } from '#pkg/certificate/key.ts'
import { toPem } from '#pkg/certificate/pem.ts'

/** Everything that goes into a certificate but its serial number and signature. */
export interface CertificateTemplate {
  readonly subjectDer: Buffer
  readonly issuerDer: Buffer
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  readonly extensions: readonly Asn1[]
  readonly notBefore: Date
  readonly notAfter: Date
}

/**
 * Signs an X.509 v3 certificate with a serial number of 128 random bits; returns PEM. node-forge writes the structure,
 * node:crypto signs, as node-forge itself knows RSA only.
 */
export function signCertificate(template: CertificateTemplate, issuerKey: KeyObject): string {
  const algorithm = signatureAlgorithm(issuerKey).identifier
  const tbs = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(randomSerial()),
    algorithm,
    fromDer(template.issuerDer),
    sequence(time(template.notBefore), time(template.notAfter)),
    fromDer(template.subjectDer),
    fromDer(template.spki),
    tagged(3, sequence(...template.extensions)),
  )
  return toPem('CERTIFICATE', toDer(sequence(tbs, algorithm, bitString(signNode(tbs, issuerKey)))))
}

/** Never zero, which RFC 5280 forbids. */
function randomSerial(): Buffer {
  const serial = randomBytes(16)
  return serial.every((byte) => byte === 0) ? randomSerial() : serial
}
