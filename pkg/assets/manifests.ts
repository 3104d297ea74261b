import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AssetError } from '#pkg/assets/errors.ts'
import { layout, type Layout } from '#pkg/assets/layout.ts'
import { errnoCode } from '#pkg/errors/error.ts'

/**
 * The text of a static manifest: a path below config/manifests (`coredns/deployment.yaml`), or a file that the build of
 * the binaries generated from the sources of the components (`calico-crds.yaml`).
 *
 * @throws AssetError when this build has no such file
 */
export async function readManifest(name: string, from: Layout = layout()): Promise<string> {
  const candidates = [join(from.configDir, 'manifests', name), join(from.libDir, 'manifests', name)]
  for (const path of candidates) {
    try {
      return await readFile(path, 'utf8')
    } catch (err) {
      if (errnoCode(err) !== 'ENOENT') throw new AssetError(`cannot read ${path}; install k0s again`, { cause: err })
    }
  }
  throw new AssetError(`this build has no manifest ${name} (looked for ${candidates.join(' and ')}); install k0s again`)
}

/** The text of a file below config/, for example `schemas/clusterconfig.json`. @throws AssetError */
export async function readConfigFile(name: string, from: Layout = layout()): Promise<string> {
  const path = join(from.configDir, name)
  if (!existsSync(path)) throw new AssetError(`this build has no file config/${name} (${path}); install k0s again`)
  return readFile(path, 'utf8')
}
