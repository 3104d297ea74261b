import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { encodeAltNames, noAltNames } from '#pkg/certificate/alt-names.ts'
import {
  type Asn1,
  bitString,
  fromDer,
  integer,
  octetString,
  oid,
  sequence,
  set,
  tagged,
  toDer,
  utf8,
} from '#pkg/certificate/asn1.ts'
import { parseCsr } from '#pkg/certificate/csr.ts'
import { generateKeyPem, loadPrivateKey, signatureAlgorithm, signNode, spkiDer } from '#pkg/certificate/key.ts'
import { oids } from '#pkg/certificate/oids.ts'
import { toPem } from '#pkg/certificate/pem.ts'

const key = loadPrivateKey(generateKeyPem())
const ownName = 'system:node:w0'
const foreignName = 'system:kube-controller-manager'

/** Requests that Go's parser and a lenient one read differently: the signer would see what the approver did not. */
const ambiguous: Readonly<Record<string, () => string>> = {
  'a second common name that is no string': () => request(name(utf8(foreignName), octetString(Buffer.from(ownName)))),
  'two common names': () => request(name(utf8(foreignName), utf8(ownName))),
  'no common name': () => request(name()),
  'extensions in two attributes': () =>
    request(name(utf8(ownName)), wanted(set, san('w0')), wanted(set, san('kubernetes'))),
  'an attribute that is no SET, which Go passes over': () =>
    request(name(utf8(ownName)), wanted(sequence, san('w0')), wanted(set, san('kubernetes'))),
  'an extension with two values': () =>
    request(name(utf8(ownName)), wanted(set, sequence(oid(oids.subjectAltName), names('kubernetes'), names('w0')))),
  'the same extension twice': () => request(name(utf8(ownName)), wanted(set, san('kubernetes'), san('w0'))),
  'two lists of extensions in one attribute': () =>
    request(
      name(utf8(ownName)),
      sequence(oid(oids.extensionRequest), set(sequence(san('w0')), sequence(san('kubernetes')))),
    ),
  'text that is not UTF-8': () => request(name(utf8Bytes(Buffer.from([0x77, 0xff])))),
}

describe('signing requests that two parsers could read differently', () => {
  for (const [what, make] of Object.entries(ambiguous)) {
    it(`are refused: ${what}`, () => {
      assert.throws(() => parseCsr(make()), { code: 'ERR_CERTIFICATE', message: /unusual form/ })
    })
  }

  it('are few: the plain form is read', () => {
    const read = parseCsr(request(name(utf8(ownName)), wanted(set, san('w0'))))
    assert.equal(read.commonName, ownName)
    assert.deepEqual(read.dnsNames, ['w0'])
  })
})

function request(subject: Asn1, ...attributes: readonly Asn1[]): string {
  const info = sequence(integer(Buffer.from([0])), subject, fromDer(spkiDer(key)), tagged(0, ...attributes))
  return toPem(
    'CERTIFICATE REQUEST',
    toDer(sequence(info, signatureAlgorithm(key).identifier, bitString(signNode(info, key)))),
  )
}

function name(...commonNames: readonly Asn1[]): Asn1 {
  return sequence(...commonNames.map((value) => set(sequence(oid(oids.commonName), value))))
}

function wanted(values: typeof set, ...extensions: readonly Asn1[]): Asn1 {
  return sequence(oid(oids.extensionRequest), values(sequence(...extensions)))
}

function san(dnsName: string): Asn1 {
  return sequence(oid(oids.subjectAltName), names(dnsName))
}

function names(dnsName: string): Asn1 {
  return octetString(toDer(encodeAltNames({ ...noAltNames, dnsNames: [dnsName] })))
}

/** A UTF8String with any bytes. */
function utf8Bytes(bytes: Buffer): Asn1 {
  return { ...utf8(''), value: bytes.toString('latin1') }
}
