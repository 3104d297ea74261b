import { createHash } from 'node:crypto'
import {
  type Asn1,
  bits,
  bitString,
  boolean,
  child,
  children,
  content,
  dotted,
  fromDer,
  octetString,
  oid,
  sequence,
  taggedBytes,
  toDer,
} from '#pkg/certificate/asn1.ts'
import { type AltNames, decodeAltNames, encodeAltNames, noAltNames } from '#pkg/certificate/alt-names.ts'
import { oids } from '#pkg/certificate/oids.ts'

/** What a leaf certificate may be used for. */
export type Usage = 'server' | 'client'

/** An Extension: RFC 5280 section 4.1. */
export function extension(id: string, value: Asn1, options: { readonly critical: boolean }): Asn1 {
  const critical = options.critical ? [boolean(true)] : []
  return sequence(oid(id), ...critical, octetString(toDer(value)))
}

/** SHA-1 of the public key's bits: method (1) of RFC 5280 section 4.2.1.2, which Go and OpenSSL use too. */
export function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha1')
    .update(bits(child(fromDer(spki), 1)))
    .digest()
}

/** Extensions of a certificate authority. */
export function caExtensions(spki: Buffer): readonly Asn1[] {
  return [
    extension(oids.basicConstraints, sequence(boolean(true)), { critical: true }),
    // digitalSignature, keyCertSign, cRLSign
    extension(oids.keyUsage, bitString(Buffer.from([0b1000_0110]), 1), { critical: true }),
    extension(oids.subjectKeyIdentifier, octetString(keyIdentifier(spki)), { critical: false }),
  ]
}

/** Extensions of a leaf certificate. */
export function leafExtensions(options: {
  readonly usages: readonly Usage[]
  readonly altNames: AltNames
  readonly issuerKeyIdentifier: Buffer
  readonly rsa: boolean
}): readonly Asn1[] {
  const { usages, altNames, issuerKeyIdentifier, rsa } = options
  const purposes = usages.map((usage) => oid(usage === 'server' ? oids.serverAuth : oids.clientAuth))
  // keyEncipherment is for the RSA key exchange only.
  const keyUsage = rsa ? bitString(Buffer.from([0b1010_0000]), 5) : bitString(Buffer.from([0b1000_0000]), 7)
  return [
    extension(oids.keyUsage, keyUsage, { critical: true }),
    extension(oids.extKeyUsage, sequence(...purposes), { critical: false }),
    extension(oids.basicConstraints, sequence(), { critical: true }),
    extension(oids.authorityKeyIdentifier, sequence(taggedBytes(0, issuerKeyIdentifier)), { critical: false }),
    ...altNamesExtension(altNames),
  ]
}

/** The subjectAltName extension, or nothing when there are no names. */
export function altNamesExtension(altNames: AltNames): readonly Asn1[] {
  const empty = Object.values(altNames).every((names) => (names as readonly string[]).length === 0)
  return empty ? [] : [extension(oids.subjectAltName, encodeAltNames(altNames), { critical: false })]
}

/** What is read back from a list of extensions. */
export interface ParsedExtensions {
  readonly altNames: AltNames
  readonly usages: readonly Usage[]
  readonly isCa: boolean
  readonly subjectKeyIdentifier: Buffer | undefined
}

/** Reads Extensions; `undefined` stands for none. */
export function parseExtensions(node: Asn1 | undefined): ParsedExtensions {
  const values = new Map<string, Asn1>()
  for (const entry of node === undefined ? [] : children(node)) {
    const parts = children(entry)
    values.set(dotted(parts[0]), fromDer(content(parts.at(-1))))
  }
  const altNames = values.get(oids.subjectAltName)
  const purposes = values.get(oids.extKeyUsage)
  const constraints = values.get(oids.basicConstraints)
  const keyId = values.get(oids.subjectKeyIdentifier)
  const named = new Set(purposes === undefined ? [] : children(purposes).map(dotted))
  const usages: Usage[] = []
  if (named.has(oids.serverAuth)) usages.push('server')
  if (named.has(oids.clientAuth)) usages.push('client')
  return {
    altNames: altNames === undefined ? noAltNames : decodeAltNames(altNames),
    usages,
    isCa: constraints !== undefined && children(constraints).length > 0 && content(child(constraints, 0))[0] === 0xff,
    subjectKeyIdentifier: keyId === undefined ? undefined : content(keyId),
  }
}
