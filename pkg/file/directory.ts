import { access, chmod, chown, constants, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asFileError } from '#pkg/file/errors.ts'

/** How a directory has to be. */
export interface DirectoryOptions {
  /** Permission bits, corrected when the directory exists with others. */
  readonly mode: number
  /** Owner, corrected when it is another one; default: left as it is. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/**
 * Makes sure that a directory is there with this mode and owner. Missing parents are made with 0755.
 *
 * @throws FileError naming the path: `cannot create /x: permission denied; …`.
 */
export async function ensureDir(path: string, { mode, uid, gid }: DirectoryOptions): Promise<void> {
  await asFileError('create', path, async () => {
    await mkdir(path, { recursive: true, mode: 0o755 })
    const now = await stat(path)
    if ((uid !== undefined && uid !== now.uid) || (gid !== undefined && gid !== now.gid)) {
      await chown(path, uid ?? now.uid, gid ?? now.gid)
    }
    if ((now.mode & 0o7777) !== mode) await chmod(path, mode)
  })
}

/**
 * Fails unless files can be written in the existing directory `path`. Writes one block for real: permission bits say
 * nothing to root, nor about a read-only mount or a full disk.
 *
 * @throws FileError naming the path.
 */
export async function assertWritable(path: string): Promise<void> {
  await asFileError('write to', path, async () => {
    await access(path, constants.W_OK)
    const file = join(path, `.k0s-write-test.${process.pid}`)
    try {
      await writeFile(file, Buffer.alloc(4096), { mode: 0o600, flush: true })
    } finally {
      await rm(file, { force: true })
    }
  })
}
