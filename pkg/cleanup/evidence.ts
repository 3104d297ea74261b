import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import { errnoCode } from '#pkg/errors/error.ts'
import { asFileError } from '#pkg/file/errors.ts'
import { exists } from '#pkg/file/exists.ts'

/** Files of the data directory that a worker writes before it touches anything else of the host. */
export const workerFiles = ['worker-config.json', 'cni-plugins.json'] as const

/**
 * Whether a worker ran here. If none did, what is outside the data directory (/var/lib/kubelet, rules, interfaces, control
 * groups, CNI files) belongs to another Kubernetes of this host and is none of our business.
 */
export async function workerRan({ dataDir }: Pick<CfgVars, 'dataDir'>): Promise<boolean> {
  const found = await Promise.all(workerFiles.map((name) => exists(join(dataDir, name))))
  return found.includes(true)
}

/** What only k0s puts into a data directory. */
const marks: ReadonlySet<string> = new Set([
  ...workerFiles,
  'pki',
  'worker-pki',
  'konnectivity.conf',
  'kubelet.conf',
  'containerd.toml',
])
/** What a start that failed early, or the preparation of one, leaves. */
const harmless: ReadonlySet<string> = new Set(['bin', 'images', 'manifests', 'run', 'lost+found'])

/** Whether the directory can be one of k0s: `reset --data-dir /home` must not remove /home. A missing or empty one can. */
export async function looksLikeDataDir(path: string): Promise<boolean> {
  const names = await asFileError('read', path, async () => {
    try {
      return await readdir(path)
    } catch (err) {
      if (errnoCode(err) === 'ENOENT') return []
      throw err
    }
  })
  return names.some((name) => marks.has(name)) || names.every((name) => harmless.has(name) || name.startsWith('.'))
}
