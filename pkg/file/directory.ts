import { access, chmod, chown, constants, lchown, lstat, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errnoCode } from '#pkg/errors/error.ts'
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
    await makeWithParents(path)
    const now = await stat(path)
    if ((uid !== undefined && uid !== now.uid) || (gid !== undefined && gid !== now.gid)) {
      await chown(path, uid ?? now.uid, gid ?? now.gid)
    }
    if ((now.mode & 0o7777) !== mode) await chmod(path, mode)
  })
}

/**
 * As `ensureDir`, and everything below it belongs to that user, too: a role that ran as root before its system users were
 * made leaves files that they cannot read. Links are not followed.
 *
 * @throws FileError
 */
export async function ensureOwnedDir(path: string, options: DirectoryOptions): Promise<void> {
  await ensureDir(path, options)
  const { uid, gid } = options
  if (uid === undefined || gid === undefined) return
  const names = await asFileError('read', path, () => readdir(path, { recursive: true }))
  for (const name of names) {
    const file = join(path, name)
    await asFileError('change the owner of', file, () => takeOver(file, uid, gid))
  }
}

async function takeOver(file: string, uid: number, gid: number): Promise<void> {
  try {
    const now = await lstat(file)
    if (now.uid !== uid || now.gid !== gid) await lchown(file, uid, gid)
  } catch (err) {
    if (errnoCode(err) !== 'ENOENT') throw err // removed meanwhile
  }
}

/** Not mkdir's own `recursive`: it says ENOENT where a parent is on a read-only file system. */
async function makeWithParents(path: string): Promise<void> {
  try {
    await mkdir(path, 0o755)
  } catch (err) {
    const code = errnoCode(err)
    if (code === 'ENOENT' && dirname(path) !== path) {
      await makeWithParents(dirname(path))
      await makeWithParents(path)
    } else if (!(await isDirectory(path))) throw err
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
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
