import { isUtf8 } from 'node:buffer'
import forge, { type Asn1 } from 'node-forge/lib/asn1.js'
import { CertificateError } from '#pkg/certificate/errors.ts'

export type { Asn1 }

// Tag numbers of X.680.
const tag = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  oid: 6,
  utf8: 12,
  sequence: 16,
  set: 17,
  printable: 19,
  ia5: 22,
  utcTime: 23,
  generalizedTime: 24,
} as const
const universal = 0x00
const contextSpecific = 0x80

const primitive = (type: number, bytes: Buffer): Asn1 => forge.create(universal, type, false, bytes.toString('latin1'))

/** SEQUENCE. */
export const sequence = (...nodes: readonly Asn1[]): Asn1 => forge.create(universal, tag.sequence, true, [...nodes])

/** SET of one kind of element, in the order given. */
export const set = (...nodes: readonly Asn1[]): Asn1 => forge.create(universal, tag.set, true, [...nodes])

/** OBJECT IDENTIFIER from its dotted form. */
export const oid = (dotted: string): Asn1 => forge.create(universal, tag.oid, false, forge.oidToDer(dotted).getBytes())

/** BOOLEAN. */
export const boolean = (value: boolean): Asn1 => primitive(tag.boolean, Buffer.from([value ? 0xff : 0]))

/** INTEGER from the big-endian bytes of a number that is not negative. */
export function integer(bytes: Buffer): Asn1 {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1
  const minimal = bytes.subarray(start)
  const negative = ((minimal[0] ?? 0) & 0x80) !== 0
  return primitive(tag.integer, negative ? Buffer.concat([Buffer.from([0]), minimal]) : minimal)
}

/** BIT STRING; `unusedBits` are the low bits of the last byte that do not count. */
export const bitString = (bytes: Buffer, unusedBits = 0): Asn1 =>
  primitive(tag.bitString, Buffer.concat([Buffer.from([unusedBits]), bytes]))

/** OCTET STRING. */
export const octetString = (bytes: Buffer): Asn1 => primitive(tag.octetString, bytes)

/** UTF8String. */
export const utf8 = (text: string): Asn1 => primitive(tag.utf8, Buffer.from(text, 'utf8'))

/** UTCTime up to 2049 and GeneralizedTime after it, as RFC 5280 section 4.1.2.5 asks. */
export function time(date: Date): Asn1 {
  return date.getUTCFullYear() < 2050
    ? forge.create(universal, tag.utcTime, false, forge.dateToUtcTime(date))
    : forge.create(universal, tag.generalizedTime, false, forge.dateToGeneralizedTime(date))
}

/** `[n]` around other nodes (explicit tags and constructed implicit ones). */
export const tagged = (n: number, ...nodes: readonly Asn1[]): Asn1 => forge.create(contextSpecific, n, true, [...nodes])

/** `[n] IMPLICIT` of a primitive value. */
export const taggedBytes = (n: number, bytes: Buffer): Asn1 =>
  forge.create(contextSpecific, n, false, bytes.toString('latin1'))

/** The DER encoding of a tree. */
export const toDer = (node: Asn1): Buffer => Buffer.from(forge.toDer(node).getBytes(), 'latin1')

/** @throws CertificateError when the bytes are not DER. */
export function fromDer(der: Buffer): Asn1 {
  // Bit strings stay bytes: node-forge would decode a key or signature that happens to look like DER.
  try {
    return forge.fromDer(der.toString('latin1'), { strict: true, decodeBitStrings: false })
  } catch (cause) {
    throw new CertificateError('the data is not valid DER; check that the file was not cut or edited', { cause })
  }
}

/** Children of a constructed node. @throws CertificateError for a primitive one. */
export function children(node: Asn1 | undefined): readonly Asn1[] {
  if (node === undefined || typeof node.value === 'string') throw new CertificateError('unexpected ASN.1 structure')
  return node.value
}

/** Child `index` of a constructed node. @throws CertificateError when there is none. */
export function child(node: Asn1 | undefined, index: number): Asn1 {
  const found = children(node)[index]
  if (found === undefined) throw new CertificateError('unexpected ASN.1 structure')
  return found
}

/** Content of a primitive node. @throws CertificateError for a constructed one. */
export function content(node: Asn1 | undefined): Buffer {
  if (typeof node?.value !== 'string') throw new CertificateError('unexpected ASN.1 structure')
  return Buffer.from(node.value, 'latin1')
}

/** Content of a string node as text. */
export function text(node: Asn1 | undefined): string {
  const bytes = content(node)
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
}

/** Content of a BIT STRING without its leading count of unused bits. */
export const bits = (node: Asn1 | undefined): Buffer => content(node).subarray(1)

/** The dotted form of an OBJECT IDENTIFIER. */
export const dotted = (node: Asn1 | undefined): string => forge.derToOid(content(node).toString('latin1'))

/** The moment a UTCTime or GeneralizedTime stands for. */
export function date(node: Asn1 | undefined): Date {
  const value = content(node).toString('latin1')
  return node?.type === tag.utcTime ? forge.utcTimeToDate(value) : forge.generalizedTimeToDate(value)
}

/** True for a node of this universal type. */
export const isUniversal = (node: Asn1 | undefined, type: keyof typeof tag): boolean =>
  node !== undefined && node.tagClass === universal && node.type === tag[type]

/** True for a node tagged `[n]`. */
export const isTagged = (node: Asn1 | undefined, n: number): boolean =>
  node !== undefined && node.tagClass === contextSpecific && node.type === n
