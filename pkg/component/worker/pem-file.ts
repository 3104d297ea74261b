import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readIfExists } from '#pkg/file/atomic.ts'

/** A certificate with its key, as read from one file. */
export interface PemPair {
  readonly certPem: string
  readonly keyPem: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** Reads a file that holds a certificate and its key; undefined when it is missing, torn or the two do not belong together. */
export async function readPemPair(path: string): Promise<PemPair | undefined> {
  const text = await readIfExists(path)
  return text === undefined ? undefined : parsePemPair(text)
}

/** As `readPemPair`, from the text. */
export function parsePemPair(text: string): PemPair | undefined {
  const certPem = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n?/g)?.join('')
  const keyPem = /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?-----END \1PRIVATE KEY-----\n?/.exec(text)?.[0]
  if (certPem === undefined || keyPem === undefined) return undefined
  try {
    const certificate = new X509Certificate(certPem)
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) return undefined
    return { certPem, keyPem, notBefore: certificate.validFromDate, notAfter: certificate.validToDate }
  } catch {
    return undefined // not parseable: the same as not there, it is made again
  }
}

/** When a certificate is due for renewal: after two thirds of its life. */
export function renewalTime({ notBefore, notAfter }: Pick<PemPair, 'notBefore' | 'notAfter'>): Date {
  return new Date(notBefore.getTime() + ((notAfter.getTime() - notBefore.getTime()) * 2) / 3)
}
