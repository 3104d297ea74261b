import { CertificateError } from '#pkg/certificate/errors.ts'

/** One PEM block (RFC 7468) with lines of 64 characters. */
export function toPem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/**
 * The bytes of the first block with this label.
 *
 * @throws CertificateError when there is none.
 */
export function fromPem(label: string, pem: string): Buffer {
  const match = new RegExp(`-----BEGIN ${label}-----([^-]+)-----END ${label}-----`).exec(pem)
  if (match?.[1] === undefined) throw new CertificateError(`there is no PEM block "${label}" in the data`)
  return Buffer.from(match[1], 'base64')
}
