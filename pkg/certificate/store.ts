import { errorMessage } from '#pkg/errors/error.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { modes } from '#pkg/constant/files.ts'
import { caDecision, createCa, loadCa, type CaOptions, type CertificateAuthority } from '#pkg/certificate/authority.ts'
import { CertificateError } from '#pkg/certificate/errors.ts'
import {
  issueCertificate,
  renewalReason,
  type CertificateRequest,
  type IssuedCertificate,
} from '#pkg/certificate/issue.ts'
import { generateKeyPem, publicKeyPem } from '#pkg/certificate/key.ts'

/** Where a certificate and its key are kept, and who may read the key. */
export interface CertificateFiles {
  readonly certPath: string
  readonly keyPath: string
  /** System user of the process that uses the key; undefined leaves the files to the caller's user. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined
}

/** What became of a file. */
export type StoreOutcome = 'kept' | 'created' | 'renewed'

/**
 * Loads or makes a certificate authority. A key that is there is always reused: its certificate can be made again,
 * while a new key would cut off everything that trusts the old one.
 *
 * @throws CertificateError naming the files, when they cannot be used.
 */
export async function ensureCa(
  files: CertificateFiles,
  options: CaOptions & { readonly now?: Date },
): Promise<{ readonly ca: CertificateAuthority; readonly outcome: StoreOutcome }> {
  const now = options.now ?? new Date()
  const [certPem, keyPem] = await Promise.all([readIfExists(files.certPath), readIfExists(files.keyPath)])
  const existing = existingCa(files, certPem, keyPem)
  if (existing !== undefined) {
    const decision = caDecision(existing.certificate, { ...options, now })
    if (decision.action === 'refuse') {
      throw new CertificateError(`cannot use ${files.certPath}: ${decision.reason}; put a renewed certificate there`)
    }
    if (decision.action === 'keep') {
      await writePair(files, existing)
      return { ca: existing, outcome: 'kept' }
    }
  }
  const ca = createCa({ ...options, now, ...(keyPem === undefined ? {} : { keyPem }) })
  await writePair(files, ca)
  return { ca, outcome: existing === undefined ? 'created' : 'renewed' }
}

function existingCa(
  files: CertificateFiles,
  certPem: string | undefined,
  keyPem: string | undefined,
): CertificateAuthority | undefined {
  if (certPem === undefined) return undefined
  if (keyPem === undefined) {
    throw new CertificateError(
      `${files.certPath} has no key: put it at ${files.keyPath}, or remove the certificate to have both made anew`,
    )
  }
  try {
    return loadCa(certPem, keyPem)
  } catch (cause) {
    throw new CertificateError(`cannot use ${files.certPath} with ${files.keyPath}: ${errorMessage(cause)}`, { cause })
  }
}

/** Loads a certificate or, where `renewalReason` finds one, replaces it together with its key. */
export async function ensureCertificate(
  files: CertificateFiles,
  request: CertificateRequest,
  ca: CertificateAuthority,
  options: { readonly now?: Date } = {},
): Promise<IssuedCertificate & { readonly outcome: StoreOutcome; readonly reason?: string }> {
  const now = options.now ?? new Date()
  const [certPem, keyPem] = await Promise.all([readIfExists(files.certPath), readIfExists(files.keyPath)])
  const existing = {
    ...(certPem === undefined ? {} : { certPem }),
    ...(keyPem === undefined ? {} : { keyPem }),
  }
  const reason = renewalReason(existing, request, ca, now)
  if (reason === undefined && certPem !== undefined && keyPem !== undefined) {
    // Written again for their owner and mode only: equal content is left alone.
    await writePair(files, { certPem, keyPem })
    return { certPem, keyPem, outcome: 'kept' }
  }
  const issued = issueCertificate(ca, request, { now })
  await writePair(files, issued)
  const outcome = certPem === undefined ? 'created' : 'renewed'
  return { ...issued, outcome, ...(reason === undefined ? {} : { reason }) }
}

/** Loads or makes a key pair without a certificate: what signs service-account tokens. */
export async function ensureKeyPair(files: {
  readonly keyPath: string
  readonly publicKeyPath: string
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined
}): Promise<{ readonly keyPem: string; readonly publicKeyPem: string }> {
  const keyPem = (await readIfExists(files.keyPath)) ?? generateKeyPem()
  let publicPem: string
  try {
    publicPem = publicKeyPem(keyPem)
  } catch (cause) {
    throw new CertificateError(`cannot use ${files.keyPath}: ${errorMessage(cause)}`, { cause })
  }
  await Promise.all([
    writeFileAtomic(files.keyPath, keyPem, { mode: modes.privateKey, ...files.owner }),
    writeFileAtomic(files.publicKeyPath, publicPem, { mode: modes.certificate }),
  ])
  return { keyPem, publicKeyPem: publicPem }
}

/** The key first: a kill or a full disk between the two leaves a key, which is used again, never a certificate without one. */
async function writePair(files: CertificateFiles, { certPem, keyPem }: IssuedCertificate): Promise<void> {
  await writeFileAtomic(files.keyPath, keyPem, { mode: modes.privateKey, ...files.owner })
  await writeFileAtomic(files.certPath, certPem, { mode: modes.certificate })
}
