import { join } from 'node:path'
import { errorMessage } from '#pkg/errors/error.ts'
import { mountsBelow, readMountPoints } from '#pkg/cleanup/mount-table.ts'
import type { ResetStep } from '#pkg/cleanup/step.ts'

/**
 * Unmounts what pods had mounted: volumes, root file systems, network namespaces. Before anything is removed, so that
 * the data of mounted volumes is out of reach.
 */
export const unmountPods: ResetStep = {
  name: 'mounts',
  run: async ({ vars, run, root, worker }) => {
    const dirs = [
      ...(worker ? [join(vars.kubeletRootDir, 'pods'), join(vars.kubeletRootDir, 'plugins')] : []),
      vars.runDir,
      vars.containerdStateDir,
      vars.containerdRootDir,
    ]
    const removed: string[] = []
    const problems: string[] = []
    for (const path of mountsBelow(await readMountPoints(root), dirs)) {
      try {
        if ((await run('umount', [path])) === undefined) throw new Error('umount is not installed')
        removed.push(path)
      } catch (cause) {
        // Something outside still uses it: detach it, the kernel unmounts when that ends.
        try {
          await run('umount', ['-l', path])
          removed.push(path)
        } catch {
          problems.push(`${path} cannot be unmounted: ${errorMessage(cause)}`)
        }
      }
    }
    return { removed, problems }
  },
}
