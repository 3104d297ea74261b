import type { KeyObject } from 'node:crypto'
import { toDer } from '#pkg/certificate/asn1.ts'
import { CertificateError } from '#pkg/certificate/errors.ts'
import { caExtensions } from '#pkg/certificate/extensions.ts'
import { generateKeyPem, loadPrivateKey, spkiDer } from '#pkg/certificate/key.ts'
import { encodeName } from '#pkg/certificate/name.ts'
import { parseCertificate, type ParsedCertificate } from '#pkg/certificate/parse.ts'
import { signCertificate } from '#pkg/certificate/sign.ts'
import { renewAt, validityFrom } from '#pkg/certificate/validity.ts'

/** A certificate authority that can sign. */
export interface CertificateAuthority {
  readonly certPem: string
  readonly keyPem: string
  readonly certificate: ParsedCertificate
  readonly key: KeyObject
}

/** What a new authority is called and how long it lives. */
export interface CaOptions {
  readonly commonName: string
  readonly validForMs: number
}

/** Makes a self-signed authority; with `keyPem` for that key, which keeps what it signed before valid. */
export function createCa(options: CaOptions & { readonly keyPem?: string; readonly now?: Date }): CertificateAuthority {
  const keyPem = options.keyPem ?? generateKeyPem()
  const key = loadPrivateKey(keyPem)
  const spki = spkiDer(key)
  const name = toDer(encodeName({ commonName: options.commonName, organizations: [] }))
  const validity = validityFrom(options.now ?? new Date(), options.validForMs)
  const template = { subjectDer: name, issuerDer: name, spki, extensions: caExtensions(spki), ...validity }
  const certPem = signCertificate(template, key)
  return { certPem, keyPem, certificate: parseCertificate(certPem), key }
}

/**
 * Reads an authority, one of ours or one that the user placed (RSA, ECDSA or Ed25519; an intermediate too).
 *
 * @throws CertificateError when key and certificate do not belong together or the certificate is no authority's.
 */
export function loadCa(certPem: string, keyPem: string): CertificateAuthority {
  const certificate = parseCertificate(certPem)
  const key = loadPrivateKey(keyPem)
  if (!spkiDer(key).equals(certificate.spki)) {
    throw new CertificateError('the certificate and the key of the authority do not belong together')
  }
  if (!certificate.isCa) {
    throw new CertificateError('the certificate is not an authority: it has no basicConstraints CA:TRUE')
  }
  return { certPem, keyPem, certificate, key }
}

/** What is to be done about an existing authority. */
export type CaDecision =
  | { readonly action: 'keep' }
  /** Sign a new certificate for the same key and name: what trusts the old one trusts the new one. */
  | { readonly action: 're-sign'; readonly reason: string }
  | { readonly action: 'refuse'; readonly reason: string }

/**
 * Decides about an existing authority. One that was made here (self-signed, with our name) is signed again after two
 * thirds of its life; one that the user placed is the user's to renew and refused only once it has expired.
 */
export function caDecision(certificate: ParsedCertificate, options: CaOptions & { readonly now: Date }): CaDecision {
  const ours =
    certificate.subjectDer.equals(certificate.issuerDer) &&
    certificate.subjectDer.equals(toDer(encodeName({ commonName: options.commonName, organizations: [] })))
  const expires = certificate.notAfter.toISOString()
  if (ours && options.now >= renewAt(certificate)) return { action: 're-sign', reason: `expires ${expires}` }
  if (options.now >= certificate.notAfter) return { action: 'refuse', reason: `it expired ${expires}` }
  return { action: 'keep' }
}
