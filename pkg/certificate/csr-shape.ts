import { isUtf8 } from 'node:buffer'
import { type Asn1, children, content, dotted, isTagged, isUniversal } from '#pkg/certificate/asn1.ts'
import { CertificateError } from '#pkg/certificate/errors.ts'
import { oids } from '#pkg/certificate/oids.ts'

/*
 * Whoever approves a signing request and whoever signs it read it with different parsers: here ours, there Go's. Where
 * two readers may differ, a request could show the approver a node's own name and the signer another one. Go's
 * encoding/asn1 passes over what it does not expect: further elements of a SEQUENCE, attributes that are no SET, values
 * of a name that are no strings; and it adds up the extensions of several attributes. So only the one plain form is
 * taken, in which there is nothing to pass over; every program that makes requests writes that one.
 */

/**
 * Makes sure that a PKCS#10 request has the plain form: every reader finds the same names in it.
 *
 * @throws CertificateError
 */
export function assertPlain(request: Asn1): void {
  const [info, ...signature] = elements(request, 'sequence', 'the request')
  check(signature.length === 2, 'the request does not have three parts')
  const [version, subject, , attributes, ...more] = elements(info, 'sequence', 'the signed part')
  check(isUniversal(version, 'integer') && more.length === 0, 'the signed part does not have four parts')
  assertPlainSubject(subject)
  if (attributes === undefined) return
  check(isTagged(attributes, 0), 'the attributes have another tag')
  assertPlainAttributes(children(attributes))
}

function assertPlainSubject(subject: Asn1 | undefined): void {
  let commonNames = 0
  for (const rdn of elements(subject, 'sequence', 'the subject')) {
    for (const attribute of elements(rdn, 'set', 'a part of the subject')) {
      const [type, value, ...more] = elements(attribute, 'sequence', 'an attribute of the subject')
      check(isUniversal(type, 'oid') && more.length === 0, 'an attribute of the subject is not a pair')
      check(isText(value), 'an attribute of the subject is no plain text')
      if (dotted(type) === oids.commonName) commonNames += 1
    }
  }
  check(commonNames === 1, `there are ${commonNames} common names`)
}

function assertPlainAttributes(attributes: readonly Asn1[]): void {
  const requested: Asn1[] = []
  for (const attribute of attributes) {
    const [type, values, ...more] = elements(attribute, 'sequence', 'an attribute')
    check(isUniversal(type, 'oid') && more.length === 0, 'an attribute is not a pair')
    const list = elements(values, 'set', 'the value of an attribute')
    if (dotted(type) !== oids.extensionRequest) continue
    check(list.length === 1, 'an attribute has not one value')
    requested.push(...list)
  }
  check(requested.length <= 1, 'extensions are asked for more than once')
  for (const extensions of requested) assertPlainExtensions(extensions)
}

function assertPlainExtensions(extensions: Asn1): void {
  const seen = new Set<string>()
  for (const extension of elements(extensions, 'sequence', 'the extensions')) {
    const parts = elements(extension, 'sequence', 'an extension')
    const plain =
      isUniversal(parts[0], 'oid') &&
      isUniversal(parts.at(-1), 'octetString') &&
      (parts.length === 2 || (parts.length === 3 && isUniversal(parts[1], 'boolean')))
    check(plain, 'an extension has not its two or three parts')
    const id = dotted(parts[0])
    check(!seen.has(id), `extension ${id} is there twice`)
    seen.add(id)
  }
}

/** Text that Go and we decode to the same characters. */
function isText(value: Asn1 | undefined): boolean {
  if (isUniversal(value, 'utf8')) return isUtf8(content(value))
  return (isUniversal(value, 'printable') || isUniversal(value, 'ia5')) && content(value).every((byte) => byte < 0x80)
}

function elements(node: Asn1 | undefined, type: 'sequence' | 'set', what: string): readonly Asn1[] {
  check(isUniversal(node, type), `${what} is not of the expected type`)
  return children(node)
}

function check(holds: boolean, problem: string): void {
  if (!holds)
    throw new CertificateError(`the signing request has an unusual form: ${problem}; create the request again`)
}
