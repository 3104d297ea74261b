import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ControllerOptions } from '#pkg/component/controller/context.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { asFileError } from '#pkg/file/errors.ts'

/** What the API server shows an external etcd, and knows it by. */
export interface ExternalEtcdFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** The files that the configuration names; undefined where it names none. Pure. */
function givenFiles({ spec }: Pick<ControllerOptions, 'spec'>): ExternalEtcdFiles | undefined {
  const { caFile: ca, clientCertFile: cert, clientKeyFile: key } = spec.storage.etcd.externalCluster ?? {}
  return ca === undefined || cert === undefined || key === undefined ? undefined : { ca, cert, key }
}

/** Where the API server reads them; undefined where there are none. Pure. */
export function externalEtcdFiles(options: Pick<ControllerOptions, 'spec' | 'vars'>): ExternalEtcdFiles | undefined {
  if (givenFiles(options) === undefined) return undefined
  const path = (name: string): string => join(options.vars.pkiDir, 'external-etcd', name)
  return { ca: path('ca.crt'), cert: path('client.crt'), key: path('client.key') }
}

/**
 * Copies them for the API server, whose user cannot read a key that only root may read. Done at each of its starts, so that renewed
 * ones are taken over then.
 *
 * @throws FileError
 */
export async function placeExternalEtcdFiles(options: ControllerOptions): Promise<void> {
  const given = givenFiles(options)
  const placed = externalEtcdFiles(options)
  if (given === undefined || placed === undefined) return
  await ensureDir(join(options.vars.pkiDir, 'external-etcd'), { mode: 0o755 })
  for (const part of ['ca', 'cert', 'key'] as const) {
    const bytes = await asFileError('read', given[part], () => readFile(given[part]))
    const owner = options.users.apiServer
    await writeFileAtomic(placed[part], bytes, { mode: part === 'key' ? 0o600 : 0o644, ...owner })
  }
}
