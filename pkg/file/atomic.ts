import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errnoCode } from '#pkg/errors/error.ts'
import { asFileError } from '#pkg/file/errors.ts'

/** How a file is written. */
export interface WriteOptions {
  /** Permission bits, set whatever the umask is. */
  readonly mode: number
  /** Owner; default: the user of this process. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/**
 * Writes a file whole or not at all: a temporary file beside it, fsync, rename, fsync of the directory. Readers see the
 * old content or the new one, also across a power cut; a full disk leaves the old file and no temporary one.
 * When content, mode and owner are already right nothing is written, so that watchers are not woken and times stay.
 *
 * @returns whether the file changed.
 * @throws FileError naming the path: `cannot write /x: disk full; …`.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: WriteOptions,
): Promise<boolean> {
  return asFileError('write', path, async () => {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    if (await isUpToDate(path, bytes, options)) return false
    // Hidden and without the suffix, so that a directory watcher for `*.yaml` never reads it.
    const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`)
    try {
      await writeDurably(temporary, bytes, options)
      await rename(temporary, path)
    } catch (err) {
      await rm(temporary, { force: true })
      throw err
    }
    await syncDirectory(dirname(path))
    return true
  })
}

/** The file's content, or undefined when there is none. @throws FileError for any other reason. */
export async function readIfExists(path: string): Promise<string | undefined> {
  return asFileError('read', path, async () => {
    try {
      return await readFile(path, 'utf8')
    } catch (err) {
      if (errnoCode(err) === 'ENOENT') return undefined
      throw err
    }
  })
}

async function isUpToDate(path: string, bytes: Uint8Array, { mode, uid, gid }: WriteOptions): Promise<boolean> {
  try {
    const now = await stat(path)
    if (!now.isFile() || now.size !== bytes.byteLength || (now.mode & 0o7777) !== mode) return false
    if ((uid !== undefined && now.uid !== uid) || (gid !== undefined && now.gid !== gid)) return false
    return (await readFile(path)).equals(bytes)
  } catch (err) {
    if (errnoCode(err) === 'ENOENT') return false
    throw err
  }
}

async function writeDurably(path: string, bytes: Uint8Array, { mode, uid, gid }: WriteOptions): Promise<void> {
  await using file = await open(path, 'wx', 0o600)
  if (uid !== undefined || gid !== undefined) await chown(file, uid, gid)
  await file.chmod(mode)
  await file.writeFile(bytes)
  await file.sync()
}

async function chown(file: FileHandle, uid: number | undefined, gid: number | undefined): Promise<void> {
  const now = await file.stat()
  await file.chown(uid ?? now.uid, gid ?? now.gid)
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r')
  try {
    await directory.sync()
  } catch (err) {
    if (errnoCode(err) !== 'EINVAL') throw err // file systems without fsync of directories answer EINVAL
  }
}
