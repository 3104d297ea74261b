import { lstat, readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'
import { isBelow } from '#pkg/cleanup/mount-table.ts'

/** What became of a tree. */
export interface RemovedTree {
  /** Whether anything was there to remove. */
  readonly removed: boolean
  /** What is left, and why. */
  readonly problems: readonly string[]
}

/**
 * Removes a directory and what is in it without ever crossing a mount point: what is mounted below it, be it a volume
 * that could not be unmounted or a disk of the user's, keeps its data. A mount point as `path` itself is emptied.
 */
export async function removeTree(path: string, mountPoints: readonly string[]): Promise<RemovedTree> {
  const found = await lstat(path).catch((err: unknown) => {
    if (errnoCode(err) === 'ENOENT') return undefined
    throw err
  })
  if (found === undefined) return { removed: false, problems: [] }
  const inside = mountPoints.filter((mountPoint) => isBelow(mountPoint, path))
  const isMountPoint = mountPoints.includes(path)
  if (inside.length === 0 && !isMountPoint) return await removeWhole(path)
  const names = await readdir(path)
  const problems: string[] = []
  for (const name of names) {
    const child = join(path, name)
    if (mountPoints.includes(child)) problems.push(`${child} is a mount point: its data is kept`)
    else problems.push(...(await removeTree(child, inside)).problems)
  }
  if (!isMountPoint && problems.length === 0) await rmdir(path)
  return { removed: names.length > 0, problems }
}

async function removeWhole(path: string): Promise<RemovedTree> {
  try {
    await rm(path, { recursive: true, force: true })
    return { removed: true, problems: [] }
  } catch (err) {
    return { removed: false, problems: [`${path} is not removed: ${errorMessage(err)}`] }
  }
}
