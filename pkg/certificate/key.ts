import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto'
import { type Asn1, oid, sequence, fromDer, toDer } from '#pkg/certificate/asn1.ts'
import { CertificateError } from '#pkg/certificate/errors.ts'
import { oids } from '#pkg/certificate/oids.ts'

/** A new ECDSA P-256 private key, PKCS#8 PEM: what every program of a cluster reads, and made in under a millisecond. */
export function generateKeyPem(): string {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey
}

/** The public half of a private key, SPKI PEM. */
export function publicKeyPem(keyPem: string): string {
  return createPublicKey(loadPrivateKey(keyPem)).export({ type: 'spki', format: 'pem' }).toString()
}

/**
 * Reads a private key: PKCS#8, PKCS#1 or SEC1; RSA, ECDSA or Ed25519.
 *
 * @throws CertificateError when it cannot be read.
 */
export function loadPrivateKey(keyPem: string): KeyObject {
  try {
    return createPrivateKey(keyPem)
  } catch (cause) {
    throw new CertificateError('the private key cannot be read; it must be an unencrypted PEM file', { cause })
  }
}

/** SubjectPublicKeyInfo of a key, DER. */
export function spkiDer(key: KeyObject): Buffer {
  return (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' })
}

/** How a key signs: the AlgorithmIdentifier to write and the digest to use. */
interface SignatureAlgorithm {
  readonly identifier: Asn1
  readonly digest: string | null
}

/** The signature algorithm that goes with a key; the digest follows the curve as RFC 5480 section 4 advises. */
export function signatureAlgorithm(key: KeyObject): SignatureAlgorithm {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      // The NULL parameters are required: RFC 4055 section 5.
      return { identifier: sequence(oid(oids.sha256WithRsaEncryption), derNull()), digest: 'sha256' }
    case 'ec': {
      const curve = key.asymmetricKeyDetails?.namedCurve
      if (curve === 'secp384r1') return { identifier: sequence(oid(oids.ecdsaWithSha384)), digest: 'sha384' }
      if (curve === 'secp521r1') return { identifier: sequence(oid(oids.ecdsaWithSha512)), digest: 'sha512' }
      return { identifier: sequence(oid(oids.ecdsaWithSha256)), digest: 'sha256' }
    }
    case 'ed25519':
      return { identifier: sequence(oid(oids.ed25519)), digest: null }
    default:
      throw new CertificateError(
        `keys of type ${key.asymmetricKeyType ?? key.type} cannot sign certificates; use ECDSA, RSA or Ed25519`,
      )
  }
}

/** Signs `node`; returns the bytes of the signature. */
export function signNode(node: Asn1, key: KeyObject): Buffer {
  return sign(signatureAlgorithm(key).digest, toDer(node), key)
}

const digests: Readonly<Record<string, string | null>> = {
  [oids.sha256WithRsaEncryption]: 'sha256',
  [oids.sha384WithRsaEncryption]: 'sha384',
  [oids.sha512WithRsaEncryption]: 'sha512',
  [oids.ecdsaWithSha256]: 'sha256',
  [oids.ecdsaWithSha384]: 'sha384',
  [oids.ecdsaWithSha512]: 'sha512',
  [oids.ed25519]: null,
}

/** Whether `signature` over `der` was made by the private half of `spki` with the algorithm named by `algorithm`. */
export function verifySignature(der: Buffer, signature: Buffer, spki: Buffer, algorithm: string): boolean {
  const digest = digests[algorithm]
  if (digest === undefined) throw new CertificateError(`the signature algorithm ${algorithm} is not supported`)
  try {
    return verify(digest, der, createPublicKey({ key: spki, format: 'der', type: 'spki' }), signature)
  } catch {
    return false // a key that does not fit the algorithm or cannot be decoded has signed nothing
  }
}

const derNull = (): Asn1 => fromDer(Buffer.from([5, 0]))
