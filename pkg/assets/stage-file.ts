import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, chown, copyFile, link, lstat, rename, rm, stat, utimes } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Stats } from 'node:fs'
import { errnoCode } from '#pkg/errors/error.ts'
import { asFileError } from '#pkg/file/errors.ts'

/** How a staged file has to be. */
export interface StageOptions {
  readonly mode: number
  /** Owner that the file must have; whoever else could write it could run code as root. */
  readonly uid: number
}

/**
 * Makes `target` the same file as `source`: a hard link, so that memory is shared with every other process that runs
 * it, or a copy where no link can be made or the source does not belong to the right user. A target that is already
 * right is left alone: the same inode, or a copy with the source's size and modification time.
 *
 * INVARIANTS: `target` always names a whole file (rename), so any number of callers may race, and a program that runs
 * from the old file keeps it.
 *
 * @throws FileError naming the file
 */
export async function stageFile(source: string, target: string, options: StageOptions): Promise<void> {
  await asFileError('stage', target, async () => {
    const wanted = await stat(source)
    if (isStaged(wanted, await statIfExists(target), options)) return
    const temporary = join(dirname(target), `.${basename(target)}.${randomUUID()}.tmp`)
    try {
      if (!(isTrusted(wanted, options) && (await tryLink(source, temporary)))) {
        await copy(source, temporary, wanted, options)
      }
      await rename(temporary, target)
    } finally {
      // rename() of two names of one inode does nothing and leaves both (POSIX).
      await rm(temporary, { force: true })
    }
  })
}

/** Whether `source` can get a second name in `folder`: not across file systems, nor across bind mounts of one. */
export async function canLink(source: string, folder: string): Promise<boolean> {
  const probe = join(folder, `.${basename(source)}.${randomUUID()}.tmp`)
  try {
    return await tryLink(source, probe)
  } finally {
    await rm(probe, { force: true })
  }
}

function isStaged(wanted: Stats, present: Stats | undefined, options: StageOptions): boolean {
  if (present?.isFile() !== true || !isTrusted(present, options)) return false
  if (present.dev === wanted.dev && present.ino === wanted.ino) return true
  return present.size === wanted.size && Math.abs(present.mtimeMs - wanted.mtimeMs) < 2
}

/** Owned by the right user, nobody else can write it, and everybody who shall can read it. */
function isTrusted(stats: Stats, { mode, uid }: StageOptions): boolean {
  return stats.uid === uid && (stats.mode & 0o7777) === mode
}

async function tryLink(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target)
    return true
  } catch (err) {
    // Another file system, one without links, or fs.protected_hardlinks. ENOENT: another process renamed over the source
    // just now, and a file without a name gets none again (link(2)); a source that is missing fails the copy.
    if (['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EACCES', 'ENOENT'].includes(errnoCode(err) ?? '')) return false
    throw err
  }
}

async function copy(source: string, target: string, wanted: Stats, { mode, uid }: StageOptions): Promise<void> {
  await copyFile(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
  await chown(target, uid, -1)
  await chmod(target, mode)
  await utimes(target, wanted.atime, wanted.mtime)
}

async function statIfExists(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (err) {
    if (errnoCode(err) === 'ENOENT') return undefined
    throw err
  }
}
