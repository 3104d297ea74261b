import { K0sError } from '#pkg/errors/error.ts'

/** A certificate, a key or a signing request cannot be used; the message names the file or the part, and what to do. */
export class CertificateError extends K0sError {
  override readonly code = 'ERR_CERTIFICATE'
}
