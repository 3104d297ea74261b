import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { modes } from '#pkg/constant/files.ts'
import { errnoCode } from '#pkg/errors/error.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'

/** The stack of each component that has one: its folder below the manifests directory (k0s's names) and its files. */
export const componentStacks = {
  coredns: { folder: 'coredns', files: ['coredns.yaml'] },
  'metrics-server': { folder: 'metricserver', files: ['metric_server.yaml'] },
  'network-provider': { folder: 'flannel', files: ['calico-crds.yaml', 'flannel.yaml'] },
} as const

/** A component that has a stack. */
export type StackOwner = keyof typeof componentStacks

/**
 * Writes a component's files (name to text) to where the applier takes them from. Nothing is written that is right
 * already, and what a user added to the folder stays.
 */
export async function writeStack<O extends StackOwner>(
  manifestsDir: string,
  owner: O,
  files: Readonly<Record<(typeof componentStacks)[O]['files'][number], string>>,
): Promise<void> {
  const folder = join(manifestsDir, componentStacks[owner].folder)
  await ensureDir(manifestsDir, { mode: modes.dataDir })
  await ensureDir(folder, { mode: modes.dataDir })
  for (const [name, text] of Object.entries<string>(files)) {
    await writeFileAtomic(join(folder, name), text, { mode: modes.secretFile })
  }
}

/** Removes a component's files; the folder goes unless a user added something. False when there was nothing. */
export async function removeStack(manifestsDir: string, owner: StackOwner): Promise<boolean> {
  const { folder, files } = componentStacks[owner]
  const path = join(manifestsDir, folder)
  for (const name of files) await rm(join(path, name), { force: true })
  try {
    await rmdir(path)
    return true
  } catch (err) {
    if (errnoCode(err) === 'ENOENT') return false
    if (errnoCode(err) === 'ENOTEMPTY') return true
    throw err
  }
}
