import { readdir, readFile, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoCode } from '#pkg/errors/error.ts'
import { workerFiles } from '#pkg/cleanup/evidence.ts'
import { readMountPoints } from '#pkg/cleanup/mount-table.ts'
import { removeTree } from '#pkg/cleanup/remove-tree.ts'
import type { ResetStep } from '#pkg/cleanup/step.ts'

/** Removes what was put into directories that others use, too: by name, nothing else. */
export const removeSharedFiles: ResetStep = {
  name: 'shared files',
  run: async ({ vars, root }) => {
    const shared = [
      'var/lib/cni/networks',
      'var/lib/cni',
      'var/lib/calico',
      'run/containerd',
      'etc/k0s/containerd.d',
      'etc/k0s',
    ]
    const plugins = await stagedPlugins(join(vars.dataDir, 'cni-plugins.json'))
    const files = [
      join(vars.cniConfDir, '10-calico.conflist'),
      ...plugins.map((name) => join(vars.cniBinDir, name)),
      join(root, 'var/lib/cni/networks/k8s-pod-network'),
      join(root, 'var/lib/cni/results'),
      join(root, 'var/lib/calico/nodename'),
      join(root, 'var/lib/calico/mtu'),
      join(root, 'run/calico'),
      join(root, 'run/containerd/s'),
    ]
    const report = await removeAll(files, root)
    // Others may keep files there, too: rmdir takes empty ones only.
    for (const dir of shared) await rmdir(join(root, dir)).catch(() => undefined)
    return report
  },
}

/** Removes the directories that are the product's own. The data directory goes last: it says what there is to clean up. */
export const removeDirectories: ResetStep = {
  name: 'directories',
  run: async ({ vars, root, worker, unfinished }) => {
    const kubelet = await removeAll(worker ? [vars.kubeletRootDir] : [], root)
    const keep = unfinished || kubelet.problems.length > 0
    const own = await removeAll([vars.runDir, ...(keep ? await allButEvidence(vars.dataDir) : [vars.dataDir])], root)
    return { removed: [...kubelet.removed, ...own.removed], problems: [...kubelet.problems, ...own.problems] }
  },
}

/** What is in the data directory, but for the files by which the next reset knows that a worker ran here, and how. */
async function allButEvidence(dataDir: string): Promise<readonly string[]> {
  const names = await readdir(dataDir).catch((err: unknown) => {
    if (errnoCode(err) === 'ENOENT') return []
    throw err
  })
  return names.filter((name) => !workerFiles.some((file) => file === name)).map((name) => join(dataDir, name))
}

async function removeAll(paths: readonly string[], root: string): ReturnType<ResetStep['run']> {
  const mountPoints = await readMountPoints(root)
  const removed: string[] = []
  const problems: string[] = []
  for (const path of paths) {
    const tree = await removeTree(path, mountPoints)
    if (tree.removed) removed.push(path)
    problems.push(...tree.problems)
  }
  return { removed, problems }
}

async function stagedPlugins(file: string): Promise<readonly string[]> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as string[]
  } catch {
    return [] // no worker ran here, or its data is gone already
  }
}
