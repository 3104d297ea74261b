import {
  bits,
  bitString,
  child,
  children,
  dotted,
  fromDer,
  integer,
  isTagged,
  oid,
  sequence,
  set,
  tagged,
  toDer,
} from '#pkg/certificate/asn1.ts'
import { type AltNames, noAltNames } from '#pkg/certificate/alt-names.ts'
import { assertPlain } from '#pkg/certificate/csr-shape.ts'
import { CertificateError } from '#pkg/certificate/errors.ts'
import { altNamesExtension, parseExtensions } from '#pkg/certificate/extensions.ts'
import { loadPrivateKey, signatureAlgorithm, signNode, spkiDer, verifySignature } from '#pkg/certificate/key.ts'
import { decodeName, encodeName, type Subject } from '#pkg/certificate/name.ts'
import { oids } from '#pkg/certificate/oids.ts'
import { fromPem, toPem } from '#pkg/certificate/pem.ts'

/** What a signing request asks for. */
export interface CsrOptions {
  readonly commonName: string
  readonly organizations?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly ips?: readonly string[]
  /** Private key, PEM; stays with the caller. */
  readonly keyPem: string
}

/** A PKCS#10 request (RFC 2986), PEM, signed with the key. */
export function createCsr(options: CsrOptions): string {
  const { commonName, organizations = [], dnsNames = [], ips = [], keyPem } = options
  const key = loadPrivateKey(keyPem)
  const extensions = altNamesExtension({ ...noAltNames, dnsNames, ips })
  const attributes = extensions.length === 0 ? [] : [sequence(oid(oids.extensionRequest), set(sequence(...extensions)))]
  const info = sequence(
    integer(Buffer.from([0])),
    encodeName({ commonName, organizations }),
    fromDer(spkiDer(key)),
    tagged(0, ...attributes),
  )
  const request = sequence(info, signatureAlgorithm(key).identifier, bitString(signNode(info, key)))
  return toPem('CERTIFICATE REQUEST', toDer(request))
}

/** What a request asks for, its signature verified. */
export interface ParsedCsr extends Subject, AltNames {}

/**
 * Reads a PEM request with an RSA, ECDSA or Ed25519 key.
 *
 * @throws CertificateError when it is malformed, could be read in more than one way, or its signature was not made with
 *   its key.
 */
export function parseCsr(pem: string): ParsedCsr {
  const request = fromDer(fromPem('CERTIFICATE REQUEST', pem))
  assertPlain(request)
  const info = child(request, 0)
  const [, name, spki, attributes] = children(info)
  if (name === undefined || spki === undefined) throw new CertificateError('the signing request is incomplete')
  const algorithm = dotted(child(child(request, 1), 0))
  if (!verifySignature(toDer(info), bits(child(request, 2)), toDer(spki), algorithm)) {
    throw new CertificateError('the signature of the signing request does not match its key; create the request again')
  }
  const wanted = (isTagged(attributes, 0) ? children(attributes) : []).find(
    (attribute) => dotted(child(attribute, 0)) === oids.extensionRequest,
  )
  const extensions = wanted === undefined ? undefined : child(child(wanted, 1), 0)
  return { ...decodeName(name), ...parseExtensions(extensions).altNames }
}
