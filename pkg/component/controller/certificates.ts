import { modes } from '#pkg/constant/files.ts'
import type { CertificateAuthority } from '#pkg/certificate/authority.ts'
import type { IssuedCertificate } from '#pkg/certificate/issue.ts'
import { ensureCa, ensureCertificate, ensureKeyPair } from '#pkg/certificate/store.ts'
import type { Component, StartContext } from '#pkg/component/component.ts'
import { localApiServer, type ControllerOptions } from '#pkg/component/controller/context.ts'
import { type AuthorityName, type LeafName, type PkiPlan, pkiPlan } from '#pkg/component/controller/pki.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { renderKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** The certificates of a controller, in memory. */
export interface PkiMaterial {
  readonly authorities: Readonly<Record<AuthorityName, CertificateAuthority>>
  readonly leaves: Readonly<Partial<Record<LeafName, IssuedCertificate>>>
  /** What signs the tokens of service accounts. */
  readonly serviceAccount: { readonly keyPem: string; readonly publicKeyPem: string }
}

/** Where other components find the certificates once `certificates` is ready. */
export interface PkiSource {
  /** @throws when asked before. */
  material(): PkiMaterial
}

/**
 * Makes what is missing below <data-dir>/pki and renews what is due or no longer fits, at every start. It is the one
 * owner of these files.
 */
export class Certificates implements Component, PkiSource {
  readonly name = 'certificates'
  readonly after: readonly string[]
  readonly #options: ControllerOptions
  #material: PkiMaterial | undefined

  /** `after`: what puts authorities in place first. */
  constructor(options: ControllerOptions, { after = [] }: { readonly after?: readonly string[] } = {}) {
    this.#options = options
    this.after = after
  }

  async start({ log }: StartContext): Promise<void> {
    this.#material = await ensurePki(this.#options, log)
  }

  ready(): Promise<void> {
    return this.#material === undefined ? Promise.reject(new Error('not written yet')) : Promise.resolve()
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }

  material(): PkiMaterial {
    if (this.#material === undefined) throw new Error('certificates are read before they are there')
    return this.#material
  }
}

/**
 * Writes the whole PKI of a controller, as `certificates` and `--init-only` do.
 *
 * @throws CertificateError or FileError naming the file.
 */
export async function ensurePki(options: ControllerOptions, log: Logger): Promise<PkiMaterial> {
  const { vars } = options
  await ensureDir(vars.dataDir, { mode: modes.dataDir })
  await ensureDir(vars.pkiDir, { mode: modes.pkiDir })
  await ensureDir(vars.etcdPkiDir, { mode: modes.etcdPkiDir })
  const plan = pkiPlan(options)
  const [authorities, serviceAccount] = await Promise.all([
    ensureAuthorities(plan, log),
    ensureKeyPair(plan.serviceAccount),
  ])
  const leaves = await ensureLeaves(plan, authorities, log)
  const material = { authorities, leaves, serviceAccount }
  await writeKubeconfigs(plan, options, material)
  return material
}

async function ensureAuthorities(plan: PkiPlan, log: Logger): Promise<PkiMaterial['authorities']> {
  const entries = await Promise.all(
    Object.entries(plan.authorities).map(async ([name, { files, commonName, validForMs }]) => {
      const { ca, outcome } = await ensureCa(files, { commonName, validForMs })
      if (outcome !== 'kept') log.info(`certificate authority ${outcome}`, { path: files.certPath })
      return [name, ca] as const
    }),
  )
  return Object.fromEntries(entries) as Record<AuthorityName, CertificateAuthority>
}

async function ensureLeaves(
  plan: PkiPlan,
  authorities: PkiMaterial['authorities'],
  log: Logger,
): Promise<PkiMaterial['leaves']> {
  const entries = await Promise.all(
    Object.entries(plan.leaves).map(async ([name, { files, signedBy, ...request }]) => {
      const { outcome, reason, certPem, keyPem } = await ensureCertificate(files, request, authorities[signedBy])
      if (outcome === 'renewed') log.info('certificate renewed', { path: files.certPath, reason })
      return [name, { certPem, keyPem }] as const
    }),
  )
  return Object.fromEntries(entries)
}

async function writeKubeconfigs(plan: PkiPlan, options: ControllerOptions, material: PkiMaterial): Promise<void> {
  const { users, spec } = options
  const owners = { admin: undefined, controllerManager: users.apiServer, scheduler: users.scheduler }
  await Promise.all(
    (['admin', 'controllerManager', 'scheduler'] as const).map(async (name) => {
      const text = renderKubeconfig({
        server: localApiServer(spec),
        caPem: material.authorities.ca.certPem,
        ...material.leaves[name],
        user: plan.leaves[name]?.commonName,
      })
      await writeFileAtomic(plan.kubeconfigs[name], text, { mode: modes.kubeconfig, ...owners[name] })
    }),
  )
}
