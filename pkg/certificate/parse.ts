import { type AltNames } from '#pkg/certificate/alt-names.ts'
import { child, children, content, date, fromDer, isTagged, toDer } from '#pkg/certificate/asn1.ts'
import { CertificateError } from '#pkg/certificate/errors.ts'
import { keyIdentifier, parseExtensions, type Usage } from '#pkg/certificate/extensions.ts'
import { decodeName, type Subject } from '#pkg/certificate/name.ts'
import { fromPem } from '#pkg/certificate/pem.ts'

/** A certificate as the product looks at it. */
export interface ParsedCertificate extends Subject, AltNames {
  /** Lower-case hexadecimal. */
  readonly serial: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly usages: readonly Usage[]
  readonly isCa: boolean
  /** DER of the issuer's and the subject's names: equal in a self-signed certificate. */
  readonly issuerDer: Buffer
  readonly subjectDer: Buffer
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  /** The subjectKeyIdentifier extension, or what it would be. */
  readonly keyIdentifier: Buffer
}

/**
 * Reads the first certificate of a PEM text; its signature is not verified here.
 *
 * @throws CertificateError when it is malformed.
 */
export function parseCertificate(pem: string): ParsedCertificate {
  const tbs = child(fromDer(fromPem('CERTIFICATE', pem)), 0)
  const fields = children(tbs)
  // Version 1 certificates, which some old CAs are, leave out the explicit version.
  const [serial, , issuer, validity, subject, spki] = isTagged(fields[0], 0) ? fields.slice(1) : fields
  if (issuer === undefined || subject === undefined || spki === undefined) {
    throw new CertificateError('the certificate is incomplete')
  }
  const extensions = fields.find((field) => isTagged(field, 3))
  const parsed = parseExtensions(extensions === undefined ? undefined : child(extensions, 0))
  const spkiBytes = toDer(spki)
  return {
    ...decodeName(subject),
    ...parsed.altNames,
    serial: content(serial).toString('hex').replace(/^00/, ''),
    notBefore: date(child(validity, 0)),
    notAfter: date(child(validity, 1)),
    usages: parsed.usages,
    isCa: parsed.isCa,
    issuerDer: toDer(issuer),
    subjectDer: toDer(subject),
    spki: spkiBytes,
    keyIdentifier: parsed.subjectKeyIdentifier ?? keyIdentifier(spkiBytes),
  }
}
